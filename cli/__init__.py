"""Commands of `image-search` that need the service's own code: on a folder, on models, the demo."""
