"""Telemetry: metrics, traces, and logs without secrets."""
