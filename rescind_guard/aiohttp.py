"""aiohttp: check each request, and end streams with their credential."""

from enforcement.aiohttp import protect

__all__ = ["protect"]
