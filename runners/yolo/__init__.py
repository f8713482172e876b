"""The YOLO detector: the plain model, and its BentoML service."""
