"""How the process runs: checks at start, gauges, and what mends BentoML and uvicorn."""
