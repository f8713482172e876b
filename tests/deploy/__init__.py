"""The chart, the compose files and the image: what stands in them is right and safe."""
