"""Peers that are not measured, and why, in a line each; tried on 2026-11-24, offline."""

from collections.abc import Mapping

ABSENT: Mapping[str, str] = {
    "clip-api-service 0.1.3": (
        "takes published weights alone: huggingface.co: 'Name or service not known'"
    ),
    "Roboflow inference 1.8.3": (
        "fetches its own weights: 'RoboflowAPIConnectionError: Could not connect to Roboflow API.'"
    ),
    "towhee 1.1.3": "fetches its operators from its hub: 'RuntimeError: Load operator failed'",
    "vLLM 0.33.0": "built for CUDA on PyPI: 'RuntimeError: Failed to infer device type'",
    "imgsearch 0.4.0": "needs Python 3.12; no HTTP (Pyro objects), and its own TinyCLIP alone",
    "Marqo, Typesense, Immich": "on PyPI only their clients; the servers are containers",
    "rclip, fastembed, uform": "a command or a library; no server",
    "DeepDetect, Frigate, TEI": "not on PyPI: C++, containers, Rust",
    "hetao29/reverse_image_search, dsys/match": "not on PyPI: containers of many services",
    "BentoCLIP, BentoYolo": "not on PyPI: samples to be cloned",
}
