"""Pixels to numbers: the CLIP and YOLO models, and the BentoML services that run them.

Nothing here fetches pictures or knows the database. The plain torch classes (`clip.model`,
`yolo.model`) run without a server; `clip.service` and `yolo.service` wrap them as batching services
and import torch only inside a worker.
"""
