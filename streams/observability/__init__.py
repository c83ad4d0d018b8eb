"""Logs, metrics, traces, progress, and failpoints of tests."""
