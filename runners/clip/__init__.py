"""The CLIP embedder: the model without a server, its weights, and its BentoML service."""
