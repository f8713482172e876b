# mypy: ignore-errors
# (FastAPI and the rest are installed in an environment of its own, see `bench.compare.services`.)
"""The same service as a competent user would write it in an evening: one file, one process.

FastAPI with `def` routes in its thread pool, a pooled `requests` session, Pillow, open_clip and its
own preprocessing in float32, a LanceDB table written per request, ultralytics' `predict`, `plot`.
What runs the models, and how they share the cores, is the user's to find out, so it can be set:

    PLAIN_RUNTIME    torch, or exported: CLIP by ONNX Runtime as Immich's service runs it (sessions
                     with a thread for each core), YOLO by ultralytics' own export to OpenVINO
    PLAIN_AT_ONCE    so many threads are inside a model at once; 0 for as many as ask
    PLAIN_THREADS    torch's own threads; 0 leaves what torch and ultralytics choose
"""

import io
import json
import os
import queue
import shutil
import sys
import threading

import cv2
import lancedb
import open_clip
import pyarrow as pa
import requests
import torch
import uvicorn
from fastapi import FastAPI, Response
from PIL import Image
from pydantic import BaseModel
from requests.adapters import HTTPAdapter
from ultralytics import YOLO

AT_ONCE = int(os.environ["PLAIN_AT_ONCE"])
THREADS = int(os.environ["PLAIN_THREADS"])
EXPORTED = os.environ["PLAIN_RUNTIME"] == "exported"
MODEL = "ViT-B-32"

model, _, preprocess = open_clip.create_model_and_transforms(
    MODEL, pretrained=os.environ["PLAIN_CLIP"]
)
model.eval()
tokenizer = open_clip.get_tokenizer(MODEL)
clip_places = threading.Semaphore(AT_ONCE or 1000)


class InOnnxRuntime(torch.nn.Module):
    """What one of CLIP's encoders computes."""

    def __init__(self, encode, example, name):
        super().__init__()
        self.model, self.forward = model, encode
        given = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": {"x": {0: "n"}}}
        torch.onnx.export(self, (example,), name, dynamo=False, opset_version=17, **given)
        self.session = onnxruntime.InferenceSession(name, providers=["CPUExecutionProvider"])

    def encode(self, batch):
        """Embeddings of a batch, not normalised."""
        return torch.from_numpy(self.session.run(None, {"x": batch.numpy()})[0])


weights = os.environ["PLAIN_YOLO"]
encode_image, encode_text = model.encode_image, model.encode_text
if EXPORTED:
    import onnxruntime

    encode_image = InOnnxRuntime(encode_image, torch.zeros(1, 3, 224, 224), "image.onnx").encode
    encode_text = InOnnxRuntime(encode_text, tokenizer(["a"]), "text.onnx").encode
    weights = shutil.copy(weights, "yolo.pt")  # the export lies beside it
    weights = YOLO(weights).export(format="openvino", dynamic=True)

# Two threads must not use a YOLO object at once (docs.ultralytics.com, thread-safe inference).
detectors = queue.LifoQueue()
for _ in range(AT_ONCE or 1):
    detectors.put(YOLO(weights, task="detect"))

session = requests.Session()
session.mount("http://", HTTPAdapter(pool_maxsize=64))

schema = pa.schema(
    [("url", pa.string()), ("metadata", pa.string()), ("vector", pa.list_(pa.float32(), 512))]
)
table = lancedb.connect("table").create_table("images", schema=schema)
writing = threading.Lock()  # without it merges conflict, and are tried again

app = FastAPI()


class Add(BaseModel):
    """What to add."""

    url: str
    metadata: dict | None = None


class Search(BaseModel):
    """What to search for: a picture by its URL, or a text."""

    url: str | None = None
    metadata: str | None = None
    limit: int = 10


def fetch(url):
    response = session.get(url, timeout=10)
    response.raise_for_status()
    return Image.open(io.BytesIO(response.content)).convert("RGB")


def embed(batch, encode):
    with clip_places, torch.inference_mode():
        features = encode(batch)
        return torch.nn.functional.normalize(features, dim=-1)[0].numpy()


def embed_picture(url):
    return embed(preprocess(fetch(url)).unsqueeze(0), encode_image)


@app.post("/post_image_to_index")
def add(given: Add):
    metadata = json.dumps(given.metadata)
    row = {"url": given.url, "metadata": metadata, "vector": embed_picture(given.url)}
    with writing:
        merge = table.merge_insert("url").when_matched_update_all().when_not_matched_insert_all()
        merge.execute([row])
    return {"message": "success", "id": given.url}


@app.post("/search_simmilar_images")
def search(given: Search):
    if given.url:
        vector = embed_picture(given.url)
    else:
        vector = embed(tokenizer([given.metadata]), encode_text)
    found = table.search(vector).distance_type("cosine").select(["url", "metadata", "_distance"])
    return {
        "results": [
            {
                "url": row["url"],
                "score": 1 - row["_distance"],
                "metadata": json.loads(row["metadata"]),
            }
            for row in found.limit(given.limit).to_list()
        ]
    }


@app.post("/run_object_detection")
def detect(given: Add):
    picture = fetch(given.url)
    detector = detectors.get()
    try:
        found = detector.predict(picture, verbose=False)[0]
    finally:
        detectors.put(detector)
    return Response(cv2.imencode(".jpg", found.plot())[1].tobytes(), media_type="image/jpg")


@app.get("/heartbeat")
def heartbeat():
    return {"message": "Api is running"}


if __name__ == "__main__":
    for detector in list(detectors.queue):  # a first call takes much longer
        detector.predict(Image.new("RGB", (640, 480)), verbose=False)
    if THREADS:
        torch.set_num_threads(THREADS)  # after ultralytics, which sets it to the cores less one
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
