"""Decoder processes: a file that crashes or hangs one costs its own request only."""
