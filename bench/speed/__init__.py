"""Speed of the service, of its parts and of its models."""
