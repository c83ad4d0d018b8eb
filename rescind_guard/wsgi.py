"""Flask, Django and any WSGI application."""

from enforcement.wsgi import GuardedApplication

__all__ = ["GuardedApplication"]
