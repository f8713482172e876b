"""The images, built and run for real: `python -m tests.container`."""
