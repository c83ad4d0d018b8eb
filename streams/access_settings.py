"""Settings of who may do what: tokens, and what takes two persons."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Role = Literal["ingest", "viewer", "revoker", "restorer", "admin", "guard"]
Act = Literal["lift", "withdraw", "distrust", "owners", "adopt"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Strict(BaseModel):
    """Settings that take no name that they do not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Token(Strict):
    """A static bearer token.

    Attributes:
        name: who holds it; stands in facts as the ingress key and in audit lines.
        sha256: of the token, in hex.
        roles: what the holder may do.
        authority: on whose behalf an ingest token speaks.
        person: who holds it, as the two-person rule counts people: one who has two
            credentials is one person. Without one, the name.
        realms: where it holds, ``*`` everywhere; empty: in the realm of this server.
    """

    name: str
    sha256: Sha256
    roles: frozenset[Role]
    authority: str | None = None
    person: str = ""
    realms: frozenset[str] = frozenset()


class Approvals(Strict):
    """What a second person has to approve.

    Attributes:
        acts: of operators; none needs two persons by default.
        expires_seconds: after which an act that nobody approved is void. A revocation
            that is held for its reach never is.
    """

    acts: frozenset[Act] = frozenset()
    expires_seconds: float = Field(default=86_400.0, ge=60, le=30 * 86_400)
