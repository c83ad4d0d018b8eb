"""Teams and users of a proxy: their virtual keys are blocked.

Rules:

- A team is blocked, and unblocked after a lift: none of its keys passes.
- A user has no switch, so each of its keys is blocked. Which of them were blocked
  before is not known, so a suspend is left to the guards.
- That the proxy lists no key of a user that it does not know proves nothing: the user
  may be one of another place.
- A virtual key is known here by a keyed hash alone, so it has no way of its own. The
  plain hashes that LiteLLM lists stay in memory until the act.

Source: LiteLLM documentation, "Virtual Keys", "Team management"; its OpenAPI document
(/team/block, /team/unblock, /team/info, /key/list, /key/block, /key/unblock,
/user/info); https://github.com/BerriAI/litellm/issues/17437 (a 200 for no user).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlencode

from streams.actuators.calls import Call, object_of
from streams.actuators.ways import Look, RecordWay, Way, unknown
from streams.model.endings import Alive, Ending, WantedEnd
from streams.outbound.answers import RequestError
from streams.sources.reading.fields import mapping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from streams.actuators.calls import IssuerApi
    from streams.model.endings import EndTarget
    from streams.outbound.answers import HttpAnswer

UNKNOWN_USER: Final = "the proxy knows no such user, and lists no key of it"
PAGE: Final = 100
MOST_PAGES: Final = 1000


class LiteLlmTeamWay(RecordWay):
    """A team."""

    noun = "team"
    ending: ClassVar[Ending] = Ending("block the team", suspends=True)

    def place(self, value: str) -> str:
        """Path of the team."""
        return f"/team/info?{urlencode({'team_id': value})}"

    def missing(self, answer: HttpAnswer) -> bool:
        """Whether LiteLLM itself says so: an error in its own form."""
        said = object_of(answer)
        # A path that it does not have is answered with a detail that is a text.
        told = mapping(said.get("detail")) or mapping(said.get("error"))
        text = told.get("error") or told.get("message")
        return isinstance(text, str) and "team" in text.lower()

    def over(self, record: Mapping[str, Any], target: EndTarget) -> str:
        """Whether it is blocked."""
        del target
        blocked = mapping(record.get("team_info")).get("blocked") is True
        return "the team is blocked" if blocked else ""

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Block or unblock it."""
        del found
        verb = "unblock" if target.wanted is WantedEnd.RESTORED else "block"
        body = {"team_id": target.identifier.value}
        yield Call(f"{verb} the team", "POST", f"/team/{verb}", json=body)


class LiteLlmUserWay(Way):
    """A user, with all keys of its own."""

    ending: ClassVar[Ending] = Ending("block the user's keys")

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """List its keys."""
        keys = [key async for key in keys_of(api, target.identifier.value)]
        left = [str(key.get("token")) for key in keys if key.get("blocked") is not True]
        if not keys and not target.seen and not await knows(api, target):
            return unknown(UNKNOWN_USER)
        state = Alive.ALIVE if left else Alive.DEAD
        text = f"{len(left)} of its {len(keys)} keys are not blocked"
        return Look(state, text, {"keys": left})

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Block each of them."""
        del target
        for key in found["keys"]:
            yield Call("block its keys", "POST", "/key/block", json={"key": key})


async def knows(api: IssuerApi, target: EndTarget) -> bool:
    """Whether the proxy has a user; some versions answer 200 for one it has not.

    Raises:
        RequestError: there is no answer to use.
    """
    user = target.identifier.value
    call = Call("read the user", "GET", f"/user/info?{urlencode({'user_id': user})}")
    found = await api.object(call, _no_user) or {}
    return mapping(found.get("user_info")).get("user_id") == user


def _no_user(answer: HttpAnswer) -> bool:
    said = object_of(answer)
    told = mapping(said.get("error")) or mapping(said.get("detail"))
    text = told.get("message") or told.get("error")
    return isinstance(text, str) and "user" in text.lower()


async def keys_of(api: IssuerApi, user: str) -> AsyncIterator[Mapping[str, Any]]:
    """Yield the keys of a user.

    Raises:
        RequestError: a page is none, or there are too many.
    """
    for number in range(1, MOST_PAGES + 1):
        query = urlencode({
            "user_id": user, "return_full_object": "true", "size": PAGE,
            "page": number,
        })  # fmt: skip
        call = Call("list its keys", "GET", f"/key/list?{query}")
        page = await api.object(call) or {}
        keys, pages = page.get("keys"), page.get("total_pages")
        if not isinstance(keys, list) or type(pages) is not int:
            raise RequestError("strange", "list its keys: no page", status=200)
        for key in keys:
            if mapping(key).get("user_id") == user:
                yield mapping(key)
        if number >= pages:
            return
    raise RequestError("too_many", "list its keys: too many pages")
