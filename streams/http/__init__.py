"""Serve HTTP: ingress, queries, the guards' feed, health and metrics."""
