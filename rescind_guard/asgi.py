"""FastAPI, Starlette and any ASGI 3 application on asyncio."""

from enforcement.asgi import GuardMiddleware

__all__ = ["GuardMiddleware"]
