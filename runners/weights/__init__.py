"""Weights: where they come from, the hashes they must have, their download."""
