"""Infinity (infinity-emb) as a peer: it embeds pictures and texts, and stores nothing.

Its models are those of transformers: CLIP ViT-B-32 there, of random weights, with the words of
open_clip's tokenizer, which are the same.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.compare.environments import FOLDER, environment, running
from bench.load.http import post
from bench.load.traffic import Fresh
from demo.process import free_port

NAME = "infinity"
ROUTES = ("add", "search", "text")
"""What its embeddings are a part of."""

_PACKAGES = ("infinity-emb[server,torch,vision]==0.0.78", "aiohttp>=3.11")
_MODEL = FOLDER / "ViT-B-32-transformers"
_MAKE = """
import sys
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel
CLIPModel(CLIPConfig(projection_dim=512)).save_pretrained(sys.argv[1])
CLIPImageProcessor().save_pretrained(sys.argv[1])
"""
_SPECIAL = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}


@dataclass(frozen=True)
class Embeddings:
    """The same pictures and texts as requests for their embeddings."""

    of: Fresh

    def requests(self) -> Iterator[tuple[str, bytes]]:
        for kind, request in self.of.requests():
            body = json.loads(request.partition(b"\r\n\r\n")[2])
            given: dict[str, Any] = {"input": [body.get("url") or body["metadata"]]}
            if "url" in body:
                given["modality"] = "image"
            yield kind, post("embeddings", {"model": "clip", **given})


def infinity() -> AbstractContextManager[tuple[int, int]]:
    """Port and pid of the service, in float32 by torch, from when it is ready on."""
    programs, port = environment(NAME, _PACKAGES), free_port()
    if not (_MODEL / "merges.txt").exists():
        subprocess.run([programs / "python", "-c", _MAKE, _MODEL], check=True)
        _write_words(_MODEL)
    options = {
        "model-id": str(_MODEL),
        "served-model-name": "clip",
        "engine": "torch",
        "device": "cpu",
        "dtype": "float32",
        "host": "127.0.0.1",
        "port": str(port),
    }
    command = [str(programs / "infinity_emb"), "v2", *(f"--{k}={v}" for k, v in options.items())]
    # It refuses pictures of this machine otherwise; no entry at all would bring its own list back.
    return running(command, port, "health", {"INFINITY_MEDIA_URL_BLACKLIST": "10.0.0.0/8"})


def _write_words(folder: Path) -> None:
    from open_clip.tokenizer import SimpleTokenizer  # noqa: PLC0415 - heavy

    words = SimpleTokenizer()
    numbers = {_SPECIAL.get(word, word): number for word, number in words.encoder.items()}
    (folder / "vocab.json").write_text(json.dumps(numbers))
    merges = sorted(words.bpe_ranks, key=words.bpe_ranks.__getitem__)
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
