"""Cut audit lines by hand, in the shape that OpenBao 2.7.2 writes."""

from __future__ import annotations

import json
from typing import Any

from streams.model.records import Access, DeadLetter, Lifecycle, Record
from streams.sources.openbao.openbao import OpenBao

TIME = "2026-11-25T02:11:42.8062869Z"
AT = 1_795_572_702_806_286_900
DENIED = "1 error occurred:\n\t* permission denied\n\n"
MOUNTS = {
    "auth/token": "token", "sys": "system", "identity": "identity", "ssh": "ssh",
    "auth/approle": "approle", "auth/people": "userpass", "auth/jwt": "jwt",
}  # fmt: skip


def mac(name: str) -> str:
    """Give what a device writes for a value."""
    return f"hmac-sha256:{name}"


def auth(name: str, **more: Any) -> dict[str, Any]:
    """Give the auth block of a service token."""
    return {
        "client_token": mac(name),
        "accessor": mac(f"{name}-accessor"),
        "display_name": name,
        "token_type": "service",
        **more,
    }


def batch(name: str, **more: Any) -> dict[str, Any]:
    """Give the auth block of a batch token: it has no accessor."""
    return {"client_token": mac(name), "token_type": "batch", **more}


def line(
    path: str,
    caller: dict[str, Any] | None = None,
    *,
    kind: str = "response",
    operation: str = "update",
    data: dict[str, Any] | None = None,
    response: dict[str, Any] | None = None,
    request: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Give one line; the caller is a token that the server accepted."""
    mount = next((m for m in MOUNTS if f"{path}/".startswith(f"{m}/")), "")
    sent: dict[str, Any] = {
        "id": "call-1",
        "operation": operation,
        "path": path,
        "namespace": {"id": "root"},
        "data": data or {},
    }
    if mount:
        sent |= {"mount_type": MOUNTS[mount], "mount_point": f"{mount}/"}
    if caller:
        sent["client_token"] = caller.get("client_token")
        sent["client_token_accessor"] = caller.get("accessor")
    return {
        "time": TIME,
        "type": kind,
        "auth": caller or {"token_type": "default"},
        "request": sent | (request or {}),
        "response": response or {},
        **more,
    }


def dead_token(path: str, name: str, **more: Any) -> dict[str, Any]:
    """Give the response to a token that the server does not know any more."""
    return line(path, request={"client_token": mac(name)}, error=DENIED, **more)


def read(*lines: dict[str, Any], orphan_roles: tuple[str, ...] = ()) -> list[Record]:
    """Read a log of these lines."""
    text = "".join(f"{json.dumps(one)}\n" for one in lines)
    return list(OpenBao(orphan_roles).records(text.encode()))


def changes(
    *lines: dict[str, Any], orphan_roles: tuple[str, ...] = ()
) -> list[Lifecycle]:
    """Give the lifecycle records of a log."""
    found = read(*lines, orphan_roles=orphan_roles)
    return [record for record in found if isinstance(record, Lifecycle)]


def change(one: dict[str, Any], orphan_roles: tuple[str, ...] = ()) -> Lifecycle:
    """Give the only lifecycle record of a line."""
    (found,) = changes(one, orphan_roles=orphan_roles)
    return found


def accesses(*lines: dict[str, Any]) -> list[Access]:
    """Give the accesses of a log."""
    return [record for record in read(*lines) if isinstance(record, Access)]


def letters(*lines: dict[str, Any]) -> list[DeadLetter]:
    """Give the dead letters of a log."""
    return [record for record in read(*lines) if isinstance(record, DeadLetter)]
