# mypy: ignore-errors
"""clip-as-service as its own torch-flow.yml starts it, over HTTP, with a checkpoint from a file.

    python clip_server_flow.py CHECKPOINT PORT

It knows its models by the MD5 of published files, which are looked for in a folder of the home.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    from jina import Flow

    checkpoint, port = Path(sys.argv[1]), int(sys.argv[2])
    executor = {"jtype": "CLIPEncoder", "metas": {"py_modules": [__file__]}}
    flow = Flow(protocol="http", host="127.0.0.1", port=port).add(
        name="clip_t",
        uses=executor,
        uses_with={"name": "ViT-B-32::laion2b-s34b-b79k", "checkpoint": str(checkpoint)},
        timeout_ready=3_000_000,
    )
    with flow:
        flow.block()
else:
    from clip_server.executors import clip_torch
    from clip_server.model import openclip_model

    class CLIPEncoder(clip_torch.CLIPEncoder):
        """The peer's own, that takes its weights from a file."""

        def __init__(self, checkpoint: str, **options):
            openclip_model.download_model = lambda *_, **__: checkpoint
            super().__init__(**options)
