"""The descriptor of this source."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from streams.sources.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOGGERS: Final = ("org.keycloak", "io.quarkus")
_LINE: Final = re.compile(
    rb"^\d{4}-[^\n{]{10,200}\[org\.keycloak\.events\]", re.MULTILINE
)


def _speaks(body: Mapping[str, Any]) -> bool:
    logger = str(body.get("loggerName") or body.get("log.logger"))
    is_event = "realmId" in body and ("operationType" in body or "type" in body)
    return is_event or logger.startswith(_LOGGERS)


VENDOR = Descriptor(
    name="keycloak",
    reader="streams.sources.keycloak.keycloak:Keycloak",
    speaks=_speaks,
    line=_LINE,
    page="keycloak.md",
    samples="tests/recordings/keycloak",
    polls={"keycloak": "streams.sources.keycloak.poll:KeycloakPoll"},
    adopts={"keycloak": "streams.sources.keycloak.adopt:ADOPT"},
)
