"""Pixels to numbers: the CLIP and YOLO models, and the BentoML services that run them.

Nothing here fetches pictures or knows the database. The plain torch classes (`clip_model`,
`yolo_model`) run without a server; `clip` and `yolo` wrap them as batching services and import
torch only inside a worker.
"""
