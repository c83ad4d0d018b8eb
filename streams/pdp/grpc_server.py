"""The gRPC listener of the decision point: authorization for Envoy, and health."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
from attrs import frozen
from grpc_health.v1 import health_pb2, health_pb2_grpc

from streams.pdp.envoy import SERVICE

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.http.tls import ServedTls
    from streams.pdp.ext_authz import Authorization
    from streams.settings.server import Listen

GRACE: Final = 1.0  # seconds for calls that are being answered at the end
# Bytes; Envoy sends headers, and a body where told to. A message is parsed in one turn
# of the event loop, and a mebibyte of short headers takes 60 ms.
MAX_MESSAGE: Final = 256 << 10
MAX_METADATA: Final = 16 << 10  # bytes, of a call
MOST_CALLS: Final = 1000  # at once, waiting for keys that are read anew
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_metadata_size", MAX_METADATA),
    ("grpc.absolute_max_metadata_size", MAX_METADATA),
    ("grpc.max_concurrent_streams", 256),  # of a connection; the others wait in Envoy
    ("grpc.so_reuseport", 0),  # a second process on the port is an error, not a share
)


class GrpcHealth(health_pb2_grpc.HealthServicer):
    """The standard health service (grpc.health.v1); ready as ``/healthz/ready`` is."""

    def __init__(self, ready: Callable[[], bool]) -> None:
        """Answer by ``ready``, which is asked each time."""
        self._ready = ready

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Answer SERVING while decisions can be vouched for."""
        if request.service not in {"", SERVICE}:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        states = health_pb2.HealthCheckResponse
        status = states.SERVING if self._ready() else states.NOT_SERVING
        return states(status=status)


@frozen
class GrpcServer:
    """A listener that accepts calls.

    Attributes:
        address: ``HOST:PORT``; the port is the one that was bound.
    """

    address: str
    _server: grpc.aio.Server

    async def close(self) -> None:
        """Take no more calls, and let those that are being answered finish."""
        await self._server.stop(GRACE)


def _credentials(tls: ServedTls) -> grpc.ServerCredentials:
    """Let each handshake use the pair that is newest by then."""
    configuration = grpc.ssl_server_certificate_configuration
    served = tls.pair

    def renewed() -> Any:
        nonlocal served
        if tls.pair is served:
            return None
        served = tls.pair
        return configuration([served])

    return grpc.dynamic_ssl_server_credentials(configuration([served]), renewed)


async def listen(
    authorization: Authorization,
    ready: Callable[[], bool],
    where: Listen,
    tls: ServedTls | None = None,
) -> GrpcServer:
    """Listen for Envoy, in this event loop.

    Args:
        authorization: what answers.
        ready: tells whether decisions can be vouched for.
        where: to listen.
        tls: certificate to listen with; plain text without it.

    Raises:
        OSError: the address cannot be bound.
    """
    server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=MOST_CALLS)
    server.add_generic_rpc_handlers((authorization.handlers(),))
    health_pb2_grpc.add_HealthServicer_to_server(GrpcHealth(ready), server)
    host = f"[{where.host}]" if ":" in where.host else where.host
    try:
        address = f"{host}:{where.port}"
        port = (
            server.add_insecure_port(address)
            if tls is None
            else server.add_secure_port(address, _credentials(tls))
        )
    except RuntimeError as error:
        await server.stop(None)
        raise OSError(f"cannot listen on {host}:{where.port} for gRPC") from error
    await server.start()
    return GrpcServer(f"{host}:{port}", server)
