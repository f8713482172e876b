"""What the OpenAPI document says of each route: its models, examples and typical error."""
