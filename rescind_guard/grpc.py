"""gRPC on asyncio: check each call, and end calls that stream with their credential.

Raises:
    ModuleNotFoundError: without the extra ``grpc``; it names the extra.
"""

try:
    from enforcement.grpc import GuardInterceptor
except ModuleNotFoundError as error:
    if error.name != "grpc":
        raise
    raise ModuleNotFoundError(
        "the interceptor needs grpcio: install rescind-guard[grpc]", name=error.name
    ) from error

__all__ = ["GuardInterceptor"]
