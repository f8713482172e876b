"""What starts a peer, inside its own environment; nothing here is imported by the benchmark."""
