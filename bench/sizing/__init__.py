"""Sizing: what many machines with one table in an object store carry, by a simulation."""
