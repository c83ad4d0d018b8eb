"""Settings of what strangers and broken input may take up."""

from __future__ import annotations

from pydantic import Field

from streams.model.strict import Strict


class ConnectionSettings(Strict):
    """Connections that showed no credential; see `streams.http.connections`.

    Attributes:
        strangers: all together.
        of_address: from one address, of IPv6 from one /64.
    """

    strangers: int = Field(default=1024, ge=1)
    of_address: int = Field(default=256, ge=1)


class DeadLetterSettings(Strict):
    """How long and how many dead letters the embedded server keeps.

    Attributes:
        keep_days: since one last grew.
        most: rows; those that changed longest ago go first. A row is one authority,
            source, reason and day, whatever the number of pieces.
    """

    keep_days: float = Field(default=30.0, gt=0)
    most: int = Field(default=10_000, ge=1, le=10_000_000)
