"""Where the demo models lie, and what they are called."""

from pathlib import Path

CLIP_ARCHITECTURE = "image-search-demo"
"""The architecture's name in open_clip, which takes it from its config file's name."""
CLIP_CONFIG_NAME = f"{CLIP_ARCHITECTURE}.json"
CLIP_NAME = "clip.safetensors"
YOLO_NAME = "yolo.pt"
WEIGHTS = Path(__file__).parent / "weights"


def register_clip() -> None:
    """Tells open_clip of the demo's architecture; more than once does no harm."""
    import open_clip  # noqa: PLC0415 - heavy, and the paths above are of use without it

    if CLIP_ARCHITECTURE not in open_clip.list_models():
        open_clip.add_model_config(WEIGHTS / CLIP_CONFIG_NAME)
