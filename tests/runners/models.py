"""Models that are loaded once for all tests of a process: they hold no state between calls."""

from functools import cache

from runners.clip.model import ClipModel
from runners.yolo.model import YoloModel

clip_of = cache(ClipModel.load)
yolo_of = cache(YoloModel.load)
