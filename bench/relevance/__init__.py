"""Relevance: how well what is found answers what was asked."""
