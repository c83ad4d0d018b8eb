"""What goes into the log of a process: one JSON object a line, and no secret.

Every line has a constant ``event``, and what differs in fields of its own; within a
span it has the ids of the trace. What libraries say through `logging` takes the same
way, and its text is the event.

Redaction is the second line of defence: nothing here is meant to log a secret. It takes
out the values of fields that are named as secrets are, and what looks like one wherever
it stands.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any, Final

import structlog

from streams.observability import tracing

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import TextIO

    from structlog.typing import Processor

    Event = MutableMapping[str, Any]

REDACTED: Final = "[redacted]"
DEEPEST: Final = 20

_SECRET_NAMES: Final = re.compile(
    r"(?:.*[_-])?(?:authorization|bearer|cookie|credentials?|passw(?:or)?d|pepper|"
    r"secrets?|tokens?|(?:api|private|routing|signing)[_-]?keys?|"
    r"(?:id|access|refresh|client)[_-]?(?:token|secret))",
    re.IGNORECASE,
)
_SECRETS: Final = re.compile(
    # RFC 6750 section 2.1, and other schemes of RFC 9110 section 11.
    r"(?<![\w-])(?:Bearer|DPoP|Basic|SSWS|GenieKey)\s+[A-Za-z0-9._~+/=-]{4,}"
    # JWS and JWE in compact form (RFC 7515 and 7516, section 3.1).
    r"|(?<![\w-])eyJ[\w-]{5,}(?:\.[\w-]*){1,4}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.|\n)*?(?:-----END [A-Z ]*KEY-----|\Z)"
    # User and password in a URL (RFC 3986 section 3.2.1).
    r"|(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"
    # Vendors' own marks.
    r"|(?<![\w-])(?:gh[pousr]_|github_pat_|glpat-|hv[sbr]\.|sk-|xox[a-z]-|whsec_)"
    r"[\w.-]{6,}",
    re.ASCII | re.IGNORECASE,
)
# A signed head of the audit chain looks like a token, and is there to be kept.
_MEANT: Final = frozenset({("audit_head", "head")})


def redact(_: Any, __: str, event: Event) -> Event:
    """Take secrets out of what is about to be written."""
    name = event.get("event")
    for field, value in event.items():
        if field.startswith("_") or (name, field) in _MEANT:
            continue  # `_record` is the library's own, and never written
        event[field] = REDACTED if _is_secret(field, value) else _clean(value, DEEPEST)
    return event


def _is_secret(name: Any, value: Any) -> bool:
    held = value is not None and not isinstance(value, bool | int | float)
    return held and _SECRET_NAMES.fullmatch(str(name)) is not None


def _clean(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _SECRETS.sub(REDACTED, value)
    if depth and isinstance(value, dict):
        return {
            _clean(name, 0): (
                REDACTED if _is_secret(name, inner) else _clean(inner, depth - 1)
            )
            for name, inner in value.items()
        }
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_clean(inner, depth - 1) for inner in value]
    return _SECRETS.sub(REDACTED, repr(value))


def add_trace(_: Any, __: str, event: Event) -> Event:
    """Say to which span a line belongs."""
    traceparent = tracing.current()
    if traceparent is not None:
        _, event["trace_id"], event["span_id"], _ = traceparent.split("-")
    return event


# Where it broke, and nothing of what the variables there held: tokens and bodies.
_TRACEBACKS: Final = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
PROCESSORS: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    add_trace,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _TRACEBACKS,
    redact,
    structlog.processors.JSONRenderer(),
)


class Handler(logging.StreamHandler["TextIO"]):
    """Writes what libraries log as lines like ours, to standard error as it is now."""

    def __init__(self) -> None:
        """Format as `PROCESSORS` do."""
        logging.Handler.__init__(self)
        self.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=[structlog.stdlib.add_logger_name, *PROCESSORS[:-2]],
                processors=[
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *PROCESSORS[-2:],
                ],
            )
        )

    @property
    def stream(self) -> TextIO:
        """Standard error; it may be another one than at the start."""
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        """Keep to standard error."""


def route_libraries(level: int) -> None:
    """Have what libraries log take our way, from a level on, warnings by default."""
    root = logging.getLogger()  # noqa: TID251 - the place where it is set up
    forget_libraries()
    root.addHandler(Handler())
    root.setLevel(max(level, logging.WARNING))


def forget_libraries() -> None:
    """Undo `route_libraries`."""
    root = logging.getLogger()  # noqa: TID251 - as above
    for each in [each for each in root.handlers if isinstance(each, Handler)]:
        root.removeHandler(each)
