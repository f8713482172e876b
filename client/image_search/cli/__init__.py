"""The `image-search` command: through the client, but for what needs the service's own code."""
