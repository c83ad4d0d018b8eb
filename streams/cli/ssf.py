"""The commands ``rescind ssf``: set up a Shared Signals stream, and see how all are."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from attrs import frozen

from streams.cli.options import Plain, ServerTokenFile, Url, run
from streams.cli.output import clean, columns, complain, show

if TYPE_CHECKING:
    from streams.ssf.setting_up import Connected, Wish

WELL: Final = 0
UNWELL: Final = 1  # silent, mute, or refused by its transmitter
REFUSED: Final = 2
UNREACHABLE: Final = 3
TOKEN: Final = "RESCIND_SSF_TOKEN"  # noqa: S105 - a variable's name
PUSH_TOKEN: Final = "RESCIND_SSF_PUSH_TOKEN"  # noqa: S105 - as above
LOOK_SECONDS: Final = 0.5

Server = tuple[str | None, Path | None]

ssf_app = typer.Typer(
    help="Shared Signals streams: set one up, and show the state of all.",
    no_args_is_help=True,
)
Issuer = Annotated[
    str, typer.Argument(help="The transmitter's issuer, a URL.", metavar="ISSUER")
]
StreamName = Annotated[
    str, typer.Option("--name", help="Name of the stream in the settings.")
]
Push = Annotated[
    str, typer.Option("--push", metavar="URL", help="URL to push to; default: poll.")
]
StreamId = Annotated[
    str,
    typer.Option("--stream", metavar="ID", help="Id of an existing stream to adopt."),
]
Subjects = Annotated[
    list[str] | None,
    typer.Option(
        "--subject",
        metavar="JSON",
        help="A subject identifier to add; can be repeated.",
    ),
]
SsfTokenFile = Annotated[
    Path | None,
    typer.Option(
        "--ssf-token-file",
        help="Transmitter's token, or client secret; default: RESCIND_SSF_TOKEN.",
    ),
]
TokenUrl = Annotated[
    str, typer.Option("--token-url", help="Token endpoint, used with --client-id.")
]
ClientId = Annotated[
    str, typer.Option("--client-id", help="Id of our client at the transmitter.")
]
PushTokenFile = Annotated[
    Path | None,
    typer.Option(
        "--push-token-file",
        help="Ingest token for the transmitter; default: RESCIND_SSF_PUSH_TOKEN.",
    ),
]
Wait = Annotated[
    float, typer.Option("--wait", min=0, help="Seconds to wait for the verification.")
]
AllowPrivate = Annotated[
    bool,
    typer.Option("--allow-private", help="Allow a transmitter in our own network."),
]


@ssf_app.command("connect")
def connect_stream(  # noqa: PLR0913, PLR0917 - the options of a command
    issuer: Issuer,
    name: StreamName = "idp",
    push: Push = "",
    stream: StreamId = "",
    subject: Subjects = None,
    ssf_token_file: SsfTokenFile = None,
    token_url: TokenUrl = "",
    client_id: ClientId = "",
    push_token_file: PushTokenFile = None,
    wait: Wait = 15.0,
    url: Url = None,
    token_file: ServerTokenFile = None,
    output: Plain = "table",
    *,
    allow_private: AllowPrivate = False,
) -> None:
    """Set up a stream, verify it, print its settings; exit code 1 if it is mute."""
    order = ConnectOptions(
        issuer=issuer,
        name=name,
        push=push,
        stream_id=stream,
        subjects=tuple(subject or ()),
        token_file=ssf_token_file,
        push_token_file=push_token_file,
        token_url=token_url,
        client_id=client_id,
        wait=wait,
        allow_private=allow_private,
        server=(url, token_file),
        output=output,
    )
    raise typer.Exit(run_connect(order))


@ssf_app.command("status")
def status(
    url: Url = None, token_file: ServerTokenFile = None, output: Plain = "table"
) -> None:
    """Show the state of the server's streams; exit code 1 if one is not well."""
    raise typer.Exit(run_status(url, token_file, output))


@frozen
class ConnectOptions:
    """The arguments of ``connect``; see `connect`."""

    issuer: str
    name: str
    push: str
    stream_id: str
    subjects: tuple[str, ...]
    token_file: Path | None
    push_token_file: Path | None
    wait: float
    token_url: str
    client_id: str
    allow_private: bool
    server: Server
    output: str


def run_connect(order: ConnectOptions) -> int:
    """Set a stream up; print what came of it and the settings that belong to it."""
    import asyncio

    from streams.ssf.setting_up import Wish
    from streams.ssf.transport import TransmitterError

    try:
        if not order.issuer.startswith(("https://", "http://")):
            raise ValueError(
                f"{order.issuer!r} is not the URL of an issuer: https://..."
            )
        wish = Wish(
            push_to=order.push,
            authorization=_authorization(order),
            stream_id=order.stream_id,
            subjects=tuple(map(_subject, order.subjects)),
        )
        return asyncio.run(_connect(order, wish))
    except TransmitterError as error:
        code = UNREACHABLE if error.status is None else REFUSED
        return complain("ssf connect", error, code)
    except ValueError as error:
        return complain("ssf connect", error, REFUSED)


async def _connect(order: ConnectOptions, wish: Wish) -> int:
    from streams.ssf.setting_up import connect
    from streams.ssf.tokens import KeptSecret, tokens_of
    from streams.ssf.transport import Transport

    secret = KeptSecret(order.token_file, TOKEN)
    tokens = tokens_of(secret, order.token_url, order.client_id)
    transport = Transport(tokens, allow_private=order.allow_private)
    connected = await connect(transport, order.issuer, wish)
    verified = await _verified(order, connected)
    stream, status = connected.stream, connected.status
    report = {
        "issuer": stream.issuer or connected.management.metadata.issuer,
        "stream_id": stream.stream_id,
        "made": connected.made,
        "status": None if status is None else status.status,
        "events": list(stream.events_delivered),
        "verified": verified,
        "settings": settings_of(order, connected),
    }
    show(report, _told(report), order.output)
    flows = status is None or status.status == "enabled"
    return UNWELL if verified is False or not flows else WELL


async def _verified(order: ConnectOptions, connected: Connected) -> bool | None:
    """Ask for a verification and see it come; None: nobody here can see it."""
    import asyncio
    import secrets

    from streams.ssf.metadata import PUSH
    from streams.ssf.setting_up import see_verification

    management, stream = connected.management, connected.stream
    if not management.metadata.verification_endpoint:
        return None
    before = await asyncio.to_thread(_at_server, order.server, stream.stream_id)
    if before is None and stream.delivery.method != PUSH:
        state = secrets.token_urlsafe(16)
        return await see_verification(connected, state, order.wait, time.time_ns)  # noqa: TID251 - a command has the clock
    await management.verify(stream.stream_id)
    if before is None:
        return None
    end = time.monotonic() + order.wait
    while True:
        now = await asyncio.to_thread(_at_server, order.server, stream.stream_id)
        if now is not None and now["verified_at"] != before["verified_at"]:
            return True
        if time.monotonic() >= end:
            return False
        await asyncio.sleep(LOOK_SECONDS)


def _at_server(server: Server, stream_id: str) -> dict[str, Any] | None:
    """Health of a stream at the running server, if it has that one."""
    from streams.clients.rescind import ClientError, client

    with suppress(ClientError):
        streams = client(*server).get("ssf")["streams"]
        return next((one for one in streams if one["stream_id"] == stream_id), None)
    return None


def settings_of(order: ConnectOptions, connected: Connected) -> dict[str, Any]:
    """Return the settings of the stream, as they belong into the server's file."""
    from streams.ssf.metadata import PUSH

    stream = connected.stream
    one: dict[str, Any] = {
        "issuer": stream.issuer or connected.management.metadata.issuer,
        "audience": list(stream.audience),
        "stream_id": stream.stream_id,
    }
    if stream.delivery.method != PUSH:
        one |= {
            "delivery": "poll",
            "endpoint": stream.delivery.endpoint_url,
        }
    if order.token_file is None:
        one["token_env"] = TOKEN
    else:
        one["token_file"] = str(order.token_file.absolute())
    if order.token_url:
        one |= {"token_url": order.token_url, "client_id": order.client_id}
    if order.allow_private:
        one["allow_private"] = True
    issuer = one["issuer"]
    grants = [
        {"kind": "session.id"},
        {"kind": "jwt.jti"},
        {"kind": "jwt.sub", "qualifier": f"{issuer}|"},
    ]
    return {
        "authorities": {order.name: {"grants": grants}},
        "ssf": {order.name: one | {"authority": order.name}},
    }


def _told(report: dict[str, Any]) -> str:
    said = {
        True: "came",
        False: "did not come: the stream is mute; look at its transmitter",
        None: "was asked for; `rescind ssf status` shows it once the server has these "
        "settings",
    }[report["verified"]]
    did = "Made" if report["made"] else "Adopted"
    lines = [
        f"{did} stream {clean(report['stream_id'])} of {clean(report['issuer'])}.",
        f"  status        {clean(report['status'])}",
        f"  verification  {said}",
    ]
    import yaml

    settings = yaml.safe_dump(report["settings"], sort_keys=False).rstrip()
    return "\n".join(lines) + f"\n\nSettings of `rescind serve`:\n\n{settings}"


def _subject(text: str) -> dict[str, Any]:
    try:
        subject = json.loads(text)
    except ValueError:
        subject = None
    if not isinstance(subject, dict) or "format" not in subject:
        message = (
            f"--subject {text!r}: write a subject identifier of RFC 9493, such as "
            '{"format": "iss_sub", "iss": "https://idp.example.com", "sub": "agent-1"}'
        )
        raise ValueError(message)
    return subject


def _authorization(order: ConnectOptions) -> str:
    """Header that the transmitter shall push with, "" without a token."""
    from streams.ssf.tokens import KeptSecret

    if order.push_token_file is None and not os.environ.get(PUSH_TOKEN):
        return ""
    return f"Bearer {KeptSecret(order.push_token_file, PUSH_TOKEN).read()}"


def run_status(url: str | None, token_file: Path | None, output: str) -> int:
    """Show the streams of the server; 1 when one is not well."""
    from streams.clients.rescind import client

    def work() -> int:
        streams = client(url, token_file).get("ssf")["streams"]
        none = "No streams are set up; see `rescind ssf connect`."
        show({"streams": streams}, _table(streams) if streams else none, output)
        return WELL if all(one["good"] for one in streams) else UNWELL

    return run("ssf status", work)


def _table(streams: list[dict[str, Any]]) -> str:
    heads = ("stream", "status", "last event", "verified", "taken", "refused", "note")
    rows = [
        (
            one["name"], one["status"], one["heard_at"], one["verified_at"],
            one["accepted"], one["refused"], _remark(one),
        )
        for one in streams
    ]  # fmt: skip
    return columns(heads, rows)


def _remark(one: dict[str, Any]) -> str:
    parts = [
        one["reason"],
        "silent" if one["silent"] else "",
        one["trouble"],
        "events may be missing from {} to {}".format(*one["gap"]) if one["gap"] else "",
    ]
    return "; ".join(part for part in parts if part)
