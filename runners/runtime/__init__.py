"""What computes a model: torch, or an OpenVINO conversion of it that is kept on disk."""
