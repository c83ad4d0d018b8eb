"""Anthropic: API keys and members of one organisation."""
