"""SHA-256 of official weights.

Each value is recorded for that very file by several public projects that do not look related
(pins in their code, reports of what they ran, a comparison with the Hub's own LFS metadata); none
was taken from one alone, and none could be compared with a download where this was written. For
the two of CLIP they name the commit of the Hugging Face repository that holds the file. What is
not listed here could not be confirmed in that way and is loaded without a comparison, as safely
as any file (`runners.clip.model`, `runners.yolo.model`); `IMAGE_SEARCH_CLIP_SHA256` and
`IMAGE_SEARCH_YOLO_SHA256` compare any file, and go before the values here.

- `laion/CLIP-ViT-B-32-laion2B-s34B-b79K`, `open_clip_model.safetensors`, 605,143,316 bytes.
- `timm/vit_base_patch32_clip_224.openai`, `open_clip_model.safetensors`, 605,143,284 bytes: the
  weights that OpenAI published as ViT-B-32.pt, in the form that open_clip 3 downloads.
- `ultralytics/assets`, releases v8.3.0 and v8.4.0, which have the same files under these names.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClipPin:
    """A published file of CLIP weights.

    Attributes:
        file: its name in the repository that open_clip names for the tag.
        revision: commit of that repository.
        sha256: of the file.
    """

    file: str
    revision: str
    sha256: str


_OPENAI_VIT_B_32 = ClipPin(
    "open_clip_model.safetensors",
    "a6f597a30f7b82c51704746581f9a4e41421e878",
    "e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31",
)

CLIP: dict[tuple[str, str], ClipPin] = {
    ("ViT-B-32", "laion2b_s34b_b79k"): ClipPin(
        "open_clip_model.safetensors",
        "1a25a446712ba5ee05982a381eed697ef9b435cf",
        "ac4f8c4b88af6d963118cbf40ad93176d092abbedfcb752601ae1866352656e6",
    ),
    ("ViT-B-32", "openai"): _OPENAI_VIT_B_32,
    ("ViT-B-32-quickgelu", "openai"): _OPENAI_VIT_B_32,
}
"""By architecture and tag, as `runners.weights.source.WeightsSource` has them."""

YOLO: dict[str, str] = {
    "yolo11n.pt": "0ebbc80d4a7680d14987a577cd21342b65ecfd94632bd9a8da63ae6417644ee1",
    "yolo11s.pt": "85a76fe86dd8afe384648546b56a7a78580c7cb7b404fc595f97969322d502d5",
    "yolo11m.pt": "d5ffc1a674953a08e11a8d21e022781b1b23a19b730afc309290bd9fb5305b95",
    "yolo26n.pt": "9b09cc8bf347f0fc8a5f7657480587f25db09b34bf33b0652110fb03a8ad4fef",
    "yolov8n.pt": "f59b3d833e2ff32e194b5bb8e08d211dc7c5bdf144b90d2c8412c47ccfc83b36",
    "yolov8s.pt": "1f47a78bf100391c2a140b7ac73a1caae18c32779be7d310658112f7ac9aa78a",
    "yolov8m.pt": "5d4a90cdc7a21786cc59cd19778e9eafff836df9e2da32524737c7ee6efe4fe5",
}
"""By ultralytics' name."""
