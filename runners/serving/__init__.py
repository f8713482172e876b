"""What both model services share: options, batches, shutdown, and changes to BentoML's batching."""
