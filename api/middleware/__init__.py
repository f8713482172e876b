"""ASGI middlewares around BentoML's application; `stack` has their order."""
