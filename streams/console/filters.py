"""Filter forms: posted, and shown at an address in which no secret stands.

What a browser sends with GET is in its history and in the logs of proxies before
anybody can look at it. So a filter is posted, looked at here, and the browser is sent
to the address that holds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve

from streams.console.addresses import root
from streams.console.api import ApiProblem
from streams.console.page import ActResult, Rendered
from streams.console.secret_names import (
    as_named,
    is_hash_pattern,
    is_secret,
    is_secret_address,
)
from streams.console.templates import BASE, url

if TYPE_CHECKING:
    from streams.console.asked import Asked
    from streams.console.page import Form, PageKind, PageRequest

LOOK: Final = "look"  # the act of every filter form
IDENTIFIER: Final = "identifier"  # the field whose secrets have a name
_PATTERN: Final = frozenset("*?[")
LONGEST: Final = 4000  # characters of a filter: it has to stand in an address
TOO_LONG: Final = ApiProblem(
    "The filter is too long",
    "It stands in the address of the page, which has no room for it.",
    f"Go back and make it shorter than {LONGEST:,} characters.",
    422,
)
SECRET_TYPED: Final = ApiProblem(
    "What you typed looks like a secret",
    "Nobody was asked about it, and it stands in no address.",
    "Go back and take it away. To look for one, type it as the identifier, or into the "
    "page Credential or agent: there it is hashed.",
    422,
)


async def looked(kind: PageKind, page: PageRequest, form: Form) -> ActResult | Rendered:
    """Go to the page that a filter form asks for; a secret goes there by its hash."""
    given = {name: form[name] for name in kind.filters if form.get(name, "").strip()}
    if sum(map(len, given.values())) > LONGEST:
        return _refused(TOO_LONG)  # also, to look for secrets in 256 kB takes 0.2 s
    kinds = page.person.hashed_kinds
    text = as_named(given.get(IDENTIFIER, ""), kinds)
    if is_secret(text, kinds) or ":" in text:
        # Which kinds hold secrets is set at the server: what it names none may be one.
        named = await page.api.post("names", body={"identifier": text})
        if named.problem is not None:
            # It may hold what was typed, and that a secret that is no identifier.
            told = f"{named.problem.title} {named.problem.detail}"
            is_told = is_secret(text, kinds) and is_secret(told, kinds)
            return _refused(SECRET_TYPED if is_told else named.problem)
        name = named.body["identifiers"][0]
        if name != text and _PATTERN & {*text} and not is_hash_pattern(text):
            return _refused(SECRET_TYPED)  # of a secret there is no pattern
        given[IDENTIFIER] = text if _PATTERN & {*text} else name
    if any(is_secret(each, kinds) for each in given.values()):
        return _refused(SECRET_TYPED)
    names = [page.name] if "{name}" in kind.path else []
    path = kind.path.replace("/{name}", "")
    return ActResult(url(path, *names, **given).removeprefix(BASE))


def _refused(problem: ApiProblem) -> Rendered:
    return Rendered("problem.html", {"problem": problem}, problem.status)


def without_secret(asked: Asked, kinds: frozenset[str] = frozenset()) -> Asked | None:
    """Request without the secret that stands in its address; None: none does."""
    if not (is_secret(asked.name, kinds) or is_secret_address(asked.target, kinds)):
        return None
    return evolve(asked, target=root(asked.target, kinds), name="", query={})
