"""The ports' real ends: DynamoDB, Lambda, Secrets Manager, SNS, SQS, Step Functions, and Arena."""
