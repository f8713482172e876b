"""What both model services share: batching, shutdown, watchdog, metrics."""
