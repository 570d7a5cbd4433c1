"""The tool's calls to AWS, with boto3."""
