"""The ports' real ends: DynamoDB, Arena over HTTPS, Secrets Manager, SNS, SQS, Step Functions.

Lambda.
"""
