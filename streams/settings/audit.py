"""Settings of the outside sinks of the audit chain's heads."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class AuditSink(BaseModel):
    """Where signed heads are kept, outside of what the server's owner rules.

    Attributes:
        file: a line of JSON is appended for each head; on another machine's disk.
        url: each head is posted there as JSON.
        token_file: of a bearer token for ``url``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path | None = None
    url: str | None = Field(default=None, pattern=r"^https?://[^@#\s]+$")
    token_file: Path | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.file is None) == (self.url is None):
            raise ValueError("a sink is a file or a url")
        if self.token_file is not None and self.url is None:
            raise ValueError("token_file is for a url")
        return self
