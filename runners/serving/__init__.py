"""Serving a model: what both model services share."""
