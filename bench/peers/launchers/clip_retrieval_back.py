# mypy: ignore-errors
"""clip-retrieval's `back` on loopback, over a faiss index of so many drawn vectors.

    python clip_retrieval_back.py CHECKPOINT ROWS PORT

It has no add, so its index is made beforehand. Its own command listens on every address.
"""

import json
import sys
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
from clip_retrieval.clip_back import clip_back
from flask import Flask

checkpoint, rows, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
folder = Path("clip-retrieval-index")
(folder / "metadata").mkdir(parents=True)
vectors = np.random.default_rng(1).normal(size=(rows, 512)).astype(np.float32)
index = faiss.IndexFlatIP(512)
index.add(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
faiss.write_index(index, str(folder / "image.index"))
urls = pd.DataFrame({"url": [f"https://example.org/{n}.jpg" for n in range(rows)]})
urls.to_parquet(folder / "metadata" / "metadata_0.parquet")
Path("indices.json").write_text(json.dumps({"bench": str(folder)}))

run = Flask.run
Flask.run = lambda app, **options: run(app, **{**options, "host": "127.0.0.1"})
clip_back(
    indices_paths="indices.json",
    port=port,
    clip_model=f"open_clip:ViT-B-32/{checkpoint}",
    use_jit=False,
    enable_mclip_option=False,
    provide_aesthetic_embeddings=False,
)
