"""The program ``rescind-guard``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from enforcement.shared.agent import Agent
from enforcement.shared.answering import listen
from enforcement.shared.authorizing import ClaimHeaders
from enforcement.verdict import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

TOKEN: Final = "RESCIND_GUARD_TOKEN"  # noqa: S105 - the name of a variable
URL: Final = "RESCIND_URL"


def _arguments(told: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="rescind-guard")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    agent = commands.add_parser(
        "agent",
        help="Keep the table of revocations where all processes of this host read it.",
        description="Keep the table where all processes of this host read it.",
    )
    agent.add_argument(
        "--url",
        default=os.environ.get(URL),
        help=f"Of the Rescind server or relay; default: ${URL}.",
    )
    agent.add_argument(
        "--token-file", type=Path, help=f"With the guard's token; default: ${TOKEN}."
    )
    agent.add_argument("--name", required=True, help="Of this agent; one a process.")
    agent.add_argument(
        "--path", type=Path, required=True, help="Where the table is put."
    )
    agent.add_argument(
        "--socket", type=Path, help="Also answer over HTTP on this Unix socket."
    )
    agent.add_argument(
        "--claim",
        action="append",
        default=[],
        metavar="HEADER=KIND",
        help="Answer Envoy's ext_authz on the socket by this header, which the gateway"
        " sets to a verified claim; may be given several times.",
    )
    agent.add_argument(
        "--issued-at",
        metavar="HEADER",
        help="Header with the verified time of issue (seconds since 1970).",
    )
    agent.add_argument(
        "--lease", type=float, default=1.0, help="Seconds; default: 1.", metavar="S"
    )
    agent.add_argument(
        "--mode",
        type=Mode,
        default=Mode.FAIL_CLOSED,
        help="The weakest mode of a reader: fail_closed (default) or fail_open.",
    )
    agent.add_argument(
        "--signing-key", type=Path, help="Ed25519 key in PEM, for its receipts."
    )
    arguments = parser.parse_args(told)
    _check(parser, arguments)
    return arguments


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Refuse what does not go together; it ends the program."""
    if not arguments.url:
        parser.error(f"name the server: --url or ${URL}")
    if arguments.token_file is None and TOKEN not in os.environ:
        parser.error(f"give the guard's token: --token-file or ${TOKEN}")
    if (arguments.claim or arguments.issued_at) and not arguments.socket:
        parser.error("--claim and --issued-at answer on a socket: give --socket")
    if arguments.issued_at and not arguments.claim:
        parser.error("--issued-at dates what --claim names: give --claim")
    try:
        claims = ClaimHeaders.read(arguments.claim, arguments.issued_at)
    except ValueError as error:
        parser.error(f"--claim {error}")
    arguments.claims = claims if arguments.claim else None


async def _serve(told: argparse.Namespace) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    token = (
        os.environ[TOKEN]
        if told.token_file is None
        else told.token_file.read_text("utf-8").strip()
    )
    key = None if told.signing_key is None else told.signing_key.read_bytes()
    told.path.parent.mkdir(parents=True, exist_ok=True)
    async with Agent(
        told.url,
        token,
        name=told.name,
        path=told.path,
        mode=told.mode,
        lease=told.lease,
        signing_key=key,
    ) as running:
        runner = None
        if told.socket is not None:
            runner = await listen(running, told.socket, told.claims)
        await over.wait()
        if runner is not None:
            await runner.cleanup()


def main(told: Sequence[str] | None = None) -> None:
    """Run a command until SIGTERM or SIGINT."""
    arguments = _arguments(told)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO
    )
    asyncio.run(_serve(arguments))
