"""The CLIP embedder: the plain model, and its BentoML service."""
