"""The log of a process: lines of JSON, constant events, and never a secret."""

from __future__ import annotations

import ast
import base64
import json
import logging
import re
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider

from streams.observability import tracing
from streams.observability.logs import (
    PROCESSORS,
    REDACTED,
    Handler,
    forget_libraries,
    redact,
)
from streams.process.lifecycle import configure_logging

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

MARK = "PLANTED0000"
TOKEN = jwt.encode({"sub": MARK}, MARK * 4, "HS256")
BASIC = base64.b64encode(f"user:{MARK}".encode()).decode()
# Each holds something that must not come out.
PLANTED: dict[str, Any] = {
    "bearer": f"Authorization: Bearer {MARK}.abc",
    "lower": f"authorization: bearer {MARK}",
    "dpop": f"DPoP {MARK}",
    "basic": f"Basic {BASIC}",
    "okta": f"SSWS {MARK}",
    "jwt": f"token {TOKEN} was refused",
    "alone": TOKEN,
    "url": f"https://user:{MARK}@idp.example/keys",
    "pem": f"-----BEGIN PRIVATE KEY-----\n{MARK}\n-----END PRIVATE KEY-----",
    "torn": f"-----BEGIN EC PRIVATE KEY-----\n{MARK}",
    "github": f"ghp_{MARK}",
    "vault": f"hvs.{MARK}",
    "hook": f"whsec_{MARK}",
    "openai": f"sk-{MARK}",
    "password": MARK,
    "client_secret": MARK,
    "x-api-key": MARK,
    "refreshToken": MARK,
    "Cookie": MARK,
    "routing_key": MARK,
    "headers": {"Authorization": MARK, "Accept": "*/*"},
    "deep": [{"a": ({"token": MARK},)}],
    "tokens": [MARK],
    "bytes": f"Bearer {MARK}".encode(),
    "error": ValueError(f"Bearer {MARK}"),
    "map": {f"Bearer {MARK}": 1},
}  # fmt: skip
LOOKS = set(PLANTED) - {
    "password", "client_secret", "x-api-key", "refreshToken", "Cookie", "routing_key",
    "headers", "deep", "tokens",
}  # fmt: skip
HIDDEN = (MARK, TOKEN.split(".")[1], BASIC)
HARMLESS: dict[str, Any] = {
    "url": "http://127.0.0.1:8750",
    "token_count": 3,
    "tokens": 7,
    "identifier": "aws.access_key:AKIAEXAMPLE000000001",
    "path": "/v1/events/{source}",
    "genesis": "d401a6a6d0024e54a4ab66fbb474505d",
    "why": "bearer of bad news",
    "skew": "risk-based",
    "secret": None,
}


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Read what was written; each line has to be an object."""
    found = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert all(isinstance(each, dict) for each in found)
    return found


@pytest.mark.parametrize("name", PLANTED)
def test_no_planted_secret_comes_out(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """By the name of its field or by its looks, however deep."""
    configure_logging()
    structlog.get_logger().warning("happened", **{name: PLANTED[name]})
    text = capsys.readouterr().err
    assert "happened" in text
    assert not [each for each in HIDDEN if each in text], text


@pytest.mark.parametrize("name", [name for name in PLANTED if name in LOOKS])
def test_no_library_tells_a_secret(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Its text has no fields, so only what looks like a secret is known."""
    configure_logging()
    logging.getLogger("aiokafka").warning("was told %s", PLANTED[name])
    text = capsys.readouterr().err
    assert "was told" in text
    assert not [each for each in HIDDEN if each in text], text


def test_without_redaction_they_would_come_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The test above catches a log that forgets it."""
    configure_logging()
    structlog.configure(processors=[each for each in PROCESSORS if each is not redact])
    for name, value in PLANTED.items():
        structlog.get_logger().warning("happened", **{name: value})
    found = capsys.readouterr().err.splitlines()
    assert len(PLANTED) == len(found)
    assert all(any(each in line for each in HIDDEN) for line in found)


def test_what_is_no_secret_stays(capsys: pytest.CaptureFixture[str]) -> None:
    """Identifiers, addresses, counts and plain words are what a log is for."""
    configure_logging()
    structlog.get_logger().info("happened", **HARMLESS)
    (line,) = lines(capsys)
    assert HARMLESS == {name: line[name] for name in HARMLESS}
    assert ("happened", "info") == (line["event"], line["level"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line["timestamp"])


def test_a_head_of_the_audit_chain_is_kept_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It looks like a token, and the log is where nobody can take it back."""
    configure_logging()
    structlog.get_logger().info("audit_head", sequence=1, head=TOKEN)
    structlog.get_logger().info("other", head=TOKEN)
    kept, other = lines(capsys)
    assert (TOKEN, REDACTED) == (kept["head"], other["head"])


def test_libraries_take_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    """Their warnings and tracebacks are one line each; their chatter is left out."""
    configure_logging()
    logger = logging.getLogger("faust.some.part")
    logger.info("chatter")
    logger.warning("lost %d of %s", 3, "topic")
    try:
        raise RuntimeError(f"Bearer {MARK}")
    except RuntimeError:
        logger.exception("broke")
    lost, broke = lines(capsys)
    assert ("lost 3 of topic", "warning") == (lost["event"], lost["level"])
    assert "faust.some.part" == lost["logger"]
    assert "RuntimeError" == broke["exception"][0]["exc_type"]
    assert REDACTED == broke["exception"][0]["exc_value"]


def test_the_log_is_set_up_once_and_undone() -> None:
    """A second time adds nothing, so no line comes twice."""
    configure_logging()
    configure_logging()
    root = logging.getLogger()
    assert 1 == sum(isinstance(each, Handler) for each in root.handlers)
    forget_libraries()
    assert not any(isinstance(each, Handler) for each in root.handlers)


def test_lines_within_a_span_name_it(capsys: pytest.CaptureFixture[str]) -> None:
    """So that a log leads to a trace, and back."""
    configure_logging()
    provider = TracerProvider()
    tracing.switch_on(provider)
    try:
        with tracing.span("work"):
            traceparent = tracing.current()
            structlog.get_logger().info("within")
        structlog.get_logger().info("outside")
    finally:
        tracing.switch_off()
    within, outside = lines(capsys)
    assert traceparent is not None
    assert traceparent.startswith(f"00-{within['trace_id']}-{within['span_id']}-")
    assert "trace_id" not in outside


def test_events_are_constant_words(repository: Path) -> None:
    """What differs stands in fields, so that a search finds all lines of a kind."""
    wrong = [
        f"{path.name}:{node.lineno}"
        for path in sorted((repository / "streams").rglob("*.py"))
        if "log." in (text := path.read_text("utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and _logs(node) and not _is_constant(node)
    ]
    # It is handed the constant.
    assert ["group_consumer.py"] == [each.partition(":")[0] for each in wrong]


def _logs(node: ast.Call) -> bool:
    return (
        isinstance(node.func, ast.Attribute)
        and node.func.attr in {"debug", "info", "warning", "error", "exception"}
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "log"
    )


def _is_constant(node: ast.Call) -> bool:
    first = node.args[0] if node.args else None
    return (
        isinstance(first, ast.Constant)
        and re.fullmatch(r"[a-z][a-z0-9_]*", str(first.value)) is not None
    )
