"""Peers that do not run here, and why, in a line each."""

from collections.abc import Mapping

ABSENT: Mapping[str, str] = {}
