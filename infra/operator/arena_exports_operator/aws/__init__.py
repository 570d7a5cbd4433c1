"""What the tool reads from AWS and does there, by boto3."""
