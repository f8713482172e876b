"""The benchmarks' CLIP checkpoint once more, as the peers want it: for transformers, and as a .pt.

The tensors are those of `bench.service.models`, under the names of Hugging Face's `CLIPModel`, so
that a peer that loads it computes the same embeddings. Names after transformers' own
`convert_clip_original_pytorch_to_hf.py`; made once, beside the original.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.service.models import model_environment

FOLDER, TORCH = "ViT-B-32-transformers", "ViT-B-32.pt"
Tensors = dict[str, NDArray[np.float32]]
_START, _END = 49406, 49407
_LAYERS = 12
_TOWERS = {"text": 512, "vision": 768}
_RENAMED = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_PIXELS = {
    "image_processor_type": "CLIPImageProcessor",
    "feature_extractor_type": "CLIPFeatureExtractor",
    "processor_class": "CLIPProcessor",
    "crop_size": {"height": 224, "width": 224},
    "size": {"shortest_edge": 224},
    "resample": 3,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "rescale_factor": 1 / 255,
    **dict.fromkeys(
        ["do_center_crop", "do_convert_rgb", "do_normalize", "do_rescale", "do_resize"], True
    ),
}


def open_clip_weights() -> Path:
    """The checkpoint of our own service."""
    return Path(model_environment("full")["IMAGE_SEARCH_CLIP_PRETRAINED"])


def for_peers(name: str) -> Path:
    """The checkpoint for transformers (`FOLDER`) or as `torch.save` writes it (`TORCH`)."""
    path = open_clip_weights().parent / name
    if not path.exists():
        # In a process of its own: torch would stay in this one, whose time is to be small.
        subprocess.run([sys.executable, "-m", "bench.peers.checkpoint"], check=True)
    return path


def renamed(found: Tensors) -> Tensors:
    """open_clip's tensors under the names, and in the layout, of transformers."""
    made: Tensors = {
        "logit_scale": found["logit_scale"],
        "text_projection.weight": found["text_projection"].T,
        "visual_projection.weight": found["visual.proj"].T,
        "text_model.embeddings.token_embedding.weight": found["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": found["positional_embedding"],
        "vision_model.embeddings.class_embedding": found["visual.class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": found["visual.conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": found["visual.positional_embedding"],
    }
    for kind in ("weight", "bias"):
        made[f"text_model.final_layer_norm.{kind}"] = found[f"ln_final.{kind}"]
        made[f"vision_model.pre_layrnorm.{kind}"] = found[f"visual.ln_pre.{kind}"]  # (sic)
        made[f"vision_model.post_layernorm.{kind}"] = found[f"visual.ln_post.{kind}"]
        for layer in range(_LAYERS):
            for tower, prefix in (("text", ""), ("vision", "visual.")):
                ours = f"{prefix}transformer.resblocks.{layer}."
                theirs = f"{tower}_model.encoder.layers.{layer}."
                thirds = np.split(found[f"{ours}attn.in_proj_{kind}"], 3)
                for name, third in zip("qkv", thirds, strict=True):
                    made[f"{theirs}self_attn.{name}_proj.{kind}"] = third
                for before, after in _RENAMED.items():
                    made[f"{theirs}{after}.{kind}"] = found[f"{ours}{before}.{kind}"]
    return {name: np.ascontiguousarray(tensor) for name, tensor in made.items()}


def _config() -> dict[str, Any]:
    towers = {
        f"{tower}_config": {
            "model_type": f"clip_{tower}_model",
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_attention_heads": width // 64,
            "num_hidden_layers": _LAYERS,
            "projection_dim": 512,
            "hidden_act": "gelu",
        }
        for tower, width in _TOWERS.items()
    }
    towers["text_config"] |= {
        "vocab_size": 49408,
        "max_position_embeddings": 77,
        "bos_token_id": _START,
        "eos_token_id": _END,
        "pad_token_id": _END,
    }
    towers["vision_config"] |= {"patch_size": 32, "image_size": 224}
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": 512,
        "torch_dtype": "float32",
        **towers,
    }


def _write_tokenizer(folder: Path) -> None:
    from open_clip.tokenizer import SimpleTokenizer  # noqa: PLC0415 - brings torch

    ours = SimpleTokenizer()
    vocabulary = {
        token.replace("<start_of_text>", "<|startoftext|>").replace(
            "<end_of_text>", "<|endoftext|>"
        ): number
        for token, number in ours.encoder.items()
    }
    merges = [" ".join(pair) for pair in ours.bpe_ranks]
    _write_json(folder / "vocab.json", vocabulary)
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    end = "<|endoftext|>"
    words = {"bos_token": "<|startoftext|>", "eos_token": end, "pad_token": end, "unk_token": end}
    _write_json(folder / "special_tokens_map.json", words)
    told = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True}
    _write_json(folder / "tokenizer_config.json", told | words)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")


def _make() -> None:
    import torch  # noqa: PLC0415 - heavy, and this module is imported for its names
    from safetensors.numpy import load_file, save_file  # noqa: PLC0415

    found = load_file(open_clip_weights())
    parent = open_clip_weights().parent
    with tempfile.TemporaryDirectory(dir=parent) as unfinished:
        folder = Path(unfinished) / FOLDER
        folder.mkdir()
        save_file(renamed(found), folder / "model.safetensors", {"format": "pt"})
        _write_json(folder / "config.json", _config())
        _write_json(folder / "preprocessor_config.json", _PIXELS)
        _write_tokenizer(folder)
        torch.save({n: torch.from_numpy(t) for n, t in found.items()}, Path(unfinished) / TORCH)
        shutil.rmtree(parent / FOLDER, ignore_errors=True)
        for name in (FOLDER, TORCH):  # whole or not at all, for whoever looks at the same time
            (Path(unfinished) / name).replace(parent / name)


if __name__ == "__main__":
    _make()
