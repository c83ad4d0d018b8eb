"""Findings in, alerts out, and each acked when settled."""
