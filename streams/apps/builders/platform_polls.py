"""Put together the polls of agent platforms, GitHub and M365, from their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streams.model.times import SECOND
from streams.outbound.client_credentials import ClientCredentials, FixedHeader
from streams.pollers.feeds import seconds
from streams.pollers.github import GitHubLog
from streams.pollers.m365 import M365Log
from streams.pollers.pages import AnthropicLog, LiteLlmLog, OpenAiLog
from streams.settings.polls import (
    AnthropicPoll,
    GitHubPoll,
    KeyPoll,
    LiteLlmPoll,
    M365Poll,
    OpenAiPoll,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.outbound.client_credentials import AuthorizationHeader
    from streams.pollers.feeds import VendorFeed

PlatformPoll = KeyPoll | M365Poll
KEY: Final = "x-api-key"
MORE: Final[dict[type, dict[str, str]]] = {
    AnthropicPoll: {"anthropic-version": "2023-06-01"},
    GitHubPoll: {
        "accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28",
    },
}  # fmt: skip
_DAY: Final = 86_400
_LOGS: Final = {OpenAiPoll: OpenAiLog, AnthropicPoll: AnthropicLog,
                LiteLlmPoll: LiteLlmLog}  # fmt: skip


def feeds(name: str, each: PlatformPoll) -> Iterator[VendorFeed]:
    """Return the feeds of one poll."""
    base, first = each.url.rstrip("/"), seconds(each.first)
    overlap = seconds(each.overlap)
    if isinstance(each, M365Poll):
        for content in each.content:
            yield M365Log(
                name=f"{name}/{content}", base=base, tenant=each.tenant,
                content=content, first=first, overlap=overlap,
                retention=seconds(each.retention * _DAY),
            )  # fmt: skip
        return
    kept = None if each.retention is None else seconds(each.retention * _DAY)
    values: dict[str, Any] = {
        "base": base, "first": first, "overlap": overlap, "retention": kept,
    }  # fmt: skip
    if isinstance(each, GitHubPoll):
        login = each.organization
        yield GitHubLog(login, name=f"{name}/{GitHubLog.source}", **values)
        return
    make = _LOGS[type(each)]
    yield make(name=f"{name}/{make.source}", **values)


def authorization(
    each: PlatformPoll, secret: str, clock: Callable[[], int]
) -> AuthorizationHeader:
    """Return the authorization of a poll's requests."""
    if isinstance(each, M365Poll):
        scope = f"{each.url.rstrip('/')}/.default"
        url = f"{each.login.rstrip('/')}/{each.tenant}/oauth2/v2.0/token"
        return ClientCredentials(
            url, each.client_id, lambda: secret, lambda: clock() / SECOND, scope
        )
    return FixedHeader(
        secret if isinstance(each, AnthropicPoll) else f"Bearer {secret}"
    )
