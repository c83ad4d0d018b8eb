"""Anthropic: the compliance activity feed."""
