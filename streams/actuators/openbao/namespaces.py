"""Namespaces of a vault: what one of them does not have may live in another one.

The audit device logs all namespaces, and its names tell of none. So that something is
in no list proves its death only where the lists of all namespaces were read. A vault
without namespaces (Vault's community edition, OpenBao before 2.3) has no such path.

Source: openbao/openbao website/content/api-docs/system/namespaces, and OpenBao 2.7.2 as
it answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, field, frozen

from streams.actuators.openbao.vault import NOT_FOUND, errors_of, says_none
from streams.outbound.answers import OK, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.actuators.openbao.vault import VaultRequests

FORBIDDEN: Final = 403
NO_NAMESPACES: Final = "unsupported path"
UNPROVEN: Final = (
    "absence proves nothing: the token for acting must be allowed to {} {}"
)
OUTSIDE: Final = (
    "the namespace in the settings does not have it, and it may be of another one"
)


@frozen
class Namespaces:
    """Namespaces below that of the settings.

    Attributes:
        ids: by path, without a slash at its end.
        gap: why there may be more; None: these are all.
    """

    ids: Mapping[str, str] = field(factory=dict)
    gap: RequestError | None = None

    def of(self, name: str) -> str:
        """Path of the namespace whose id stands at the end of a name."""
        own = name.rpartition(".")[2]
        return next((path for path, one in self.ids.items() if one == own), "")


async def namespaces(asked: VaultRequests) -> Namespaces:
    """Ask for all of them."""
    found, gap = Namespaces(), None
    waiting = [""]
    while waiting:
        where = waiting.pop()
        try:
            below = await _below(asked, where)
        except RequestError as error:
            gap = gap or unproven(error, where, "sys/namespaces")
            continue
        waiting.extend(below)
        found = evolve(found, ids={**found.ids, **below})
    return evolve(found, gap=gap)


def unproven(
    error: RequestError, where: str, path: str, verb: str = "list"
) -> RequestError:
    """Error of what a namespace does not tell, with the right that may be missing."""
    path = f"{where}/{path}" if where else path
    text = f"{path}: {error.detail}".removesuffix(": ")
    if error.status == FORBIDDEN:
        text = UNPROVEN.format(verb, path)
    return RequestError(error.reason, text, answer=error.answer, status=error.status)


def missing_there(asked: VaultRequests) -> RequestError | None:
    """Error of what the settings leave out; None: they leave out no namespace."""
    return RequestError("outside", OUTSIDE, status=OK) if asked.namespace else None


async def _below(asked: VaultRequests, where: str) -> dict[str, str]:
    """Ids of the namespaces right below one, by path."""
    try:
        data = await asked.data("LIST", "sys/namespaces", namespace=where)
    except RequestError as error:
        if says_none(error.answer) or _has_none(error):
            return {}
        raise
    keys, known = data.get("keys"), data.get("key_info")
    if not isinstance(keys, list) or not all(isinstance(k, str) and k for k in keys):
        raise RequestError("unreadable")
    above = f"{where}/" if where else ""
    return dict(_ids(above, keys, known if isinstance(known, dict) else {}))


def _has_none(error: RequestError) -> bool:
    answer = error.answer
    if answer is None or answer.status != NOT_FOUND:
        return False
    return NO_NAMESPACES in errors_of(answer)


def _ids(
    above: str, keys: list[str], known: dict[str, Any]
) -> Iterable[tuple[str, str]]:
    for key in keys:
        info = known.get(key)
        own = info.get("id") if isinstance(info, dict) else None
        yield above + key.strip("/"), own if isinstance(own, str) else ""
