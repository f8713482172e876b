"""How the processes run: checks at start, gauges, memory, and patches of BentoML and uvicorn."""
