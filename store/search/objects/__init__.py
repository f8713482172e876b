"""Objects: images by the best of their objects."""
