"""What it costs, against a limit or a peer, in one run; docs/benchmarks.md has the figures."""
