"""Heartbeats, and the time of a process among others."""
