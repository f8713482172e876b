"""What `image-search demo` shows."""
