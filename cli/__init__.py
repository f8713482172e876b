"""The `image-search` command."""
