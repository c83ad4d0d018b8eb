"""AWS: CloudTrail and Firehose."""
