"""These tests share a running service with others, and take away what they have added."""

from tests.traces import leave_no_trace

__all__ = ["leave_no_trace"]
