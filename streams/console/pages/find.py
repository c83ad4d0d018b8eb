"""Find a credential or agent by what somebody has of it: an identifier, or a secret.

What is typed is posted and stands in no URL, since it may be a secret. The server gives
its name, and the page of that name is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.console.filters import SECRET_TYPED
from streams.console.page import ActResult, PageKind, Rendered
from streams.console.secret_names import as_named, is_secret
from streams.console.templates import BASE, url

if TYPE_CHECKING:
    from streams.console.page import Form, PageRequest

TEMPLATE: Final = "find.html"


async def render(page: PageRequest) -> Rendered:
    """Show the form."""
    del page
    return Rendered(TEMPLATE, {"problem": None, "asked": ""})


async def find(page: PageRequest, form: Form) -> ActResult | Rendered:
    """Have the server name what was typed, and go to its page."""
    kinds = page.person.hashed_kinds
    text = as_named(form.get("identifier", ""), kinds)
    named = await page.api.post("names", body={"identifier": text})
    if named.problem is not None:
        # What was typed is not sent back: it may be a secret.
        values = {"problem": named.problem, "asked": ""}
        return Rendered(TEMPLATE, values, named.status)
    found = named.body["identifiers"][0]
    if is_secret(found, kinds):
        values = {"problem": SECRET_TYPED, "asked": ""}
        return Rendered(TEMPLATE, values, SECRET_TYPED.status)
    return ActResult(url("/credentials", found).removeprefix(BASE))


KIND: Final = PageKind(
    path="/credentials",
    title="Credential or agent",
    render=render,
    nav=45,
    acts={"find": find},
)
