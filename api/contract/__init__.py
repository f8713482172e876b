"""What clients rely on: request and answer models, and the OpenAPI document."""
