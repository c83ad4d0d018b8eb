"""Settings of the console."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from streams.model.strict import Strict

Address = Annotated[str, Field(pattern=r"^https?://[^?#\s@]*[^/?#\s@]$")]


class ConsoleLogin(Strict):
    """How persons log in at an OpenID provider.

    Attributes:
        provider: its name in ``oidc``; what its groups may do stands there.
        client_id: of the console at the provider.
        client_secret: file with the secret of a confidential client.
        scopes: that are asked for.
        presents: the token that the API is asked with; its ``aud`` must be in
            ``audience``, which of the ID token is ``client_id``.
        title: of the provider, on the button.
    """

    provider: str
    client_id: str = Field(min_length=1)
    client_secret: Path | None = None
    scopes: tuple[str, ...] = ("openid", "profile")
    presents: Literal["access", "id"] = "access"
    title: str = "your organisation"


class ConsoleSettings(Strict):
    """The pages at ``/console``.

    Attributes:
        enabled: `rescind serve` has them.
        url: under which people reach them, such as https://rescind.example/console;
            alerts link to their findings there.
        link: where the first start made the operator's token, each start prints a link
            that opens one session.
        login: at an OpenID provider, where ``url/login/back`` is registered.
        token_login: a token of the API may be typed in.
        behind_https: a proxy before this process speaks HTTPS; cookies are only sent
            over it then.
        idle_seconds: after which a session ends where its person does nothing.
        session_seconds: after which a session ends in any case.
        sessions_of_person: that one person may have at once.
        sessions: that all persons together may have.
    """

    enabled: bool = True
    url: Address | None = None
    link: bool = True
    login: ConsoleLogin | None = None
    token_login: bool = True
    behind_https: bool = False
    idle_seconds: float = Field(default=1800.0, ge=60, le=86_400)
    session_seconds: float = Field(default=8 * 3600.0, ge=60, le=7 * 86_400)
    sessions_of_person: int = Field(default=10, ge=1, le=1000)
    sessions: int = Field(default=1000, ge=1, le=100_000)
