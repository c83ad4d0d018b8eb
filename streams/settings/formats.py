"""Names of sources in settings."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator

from streams.sources.catalogue import checked

GENERIC: Final = "generic"


def _or_mapped(name: str) -> str:
    return checked(name, GENERIC)


SourceFormat = Annotated[str, AfterValidator(checked)]
SourceOrMapping = Annotated[str, AfterValidator(_or_mapped)]
