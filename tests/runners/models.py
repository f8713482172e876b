"""Models that are loaded once for all tests of a process: they hold no state between calls."""

from functools import cache

from runners.clip.recipe import load_clip
from runners.yolo.recipe import load_yolo

clip_of = cache(load_clip)
yolo_of = cache(load_yolo)
