"""The answers of the routes: what these return, and what the OpenAPI page shows."""
