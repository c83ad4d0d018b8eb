"""Models of what people write."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Values that take no name that they do not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)
