"""The device a model computes on: threads, GPUs, precision."""
