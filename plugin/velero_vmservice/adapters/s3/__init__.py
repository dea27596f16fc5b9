"""Documents in a bucket, over boto3."""
