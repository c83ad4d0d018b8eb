"""What a page is: a request comes in, the API is asked, values for a template go out.

A page knows neither HTTP nor sessions; the frame (`streams.console.app`) does. The URL
is the whole state of a page, so that it can be sent to somebody else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import Factory, field, frozen

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from streams.console.api import Api

    Form = Mapping[str, str]

ADMIN = "admin"
_PLACE = re.compile("[0-9]{1,18}")


@frozen
class Person:
    """Who is logged in.

    Attributes:
        name: of the credential, as the audit chain has it.
        person: the same for all credentials of one person.
        roles: in the realm that is shown.
        realm: that is shown.
        realms: that may be chosen.
        csrf: token that each form sends back.
        elsewhere: an address that names no realm means another one than this.
        hashed_kinds: of the server, whose values are keyed hashes of secrets.
    """

    name: str
    person: str
    roles: frozenset[str]
    realm: str
    realms: tuple[str, ...]
    csrf: str
    elsewhere: bool = False
    hashed_kinds: frozenset[str] = frozenset()

    def may(self, *roles: str) -> bool:
        """Whether one of some roles is held in the realm that is shown."""
        return bool(self.roles & {*roles, ADMIN})


@frozen
class PageRequest:
    """One request for a page.

    Attributes:
        api: asked with the person's own credential, in the realm that is shown.
        query: of the URL, each name once.
        name: what stands for ``{name}`` in the page's path, else "".
        now: the time (ns).
    """

    api: Api
    query: Mapping[str, str]
    name: str
    now: int
    person: Person

    def place(self, name: str = "after") -> int:
        """Place in a list that the URL names; 0 where it names none."""
        text = self.query.get(name, "")
        return int(text) if _PLACE.fullmatch(text) else 0


@frozen
class Rendered:
    """What to show.

    Attributes:
        template: file in ``templates``.
        values: for it.
        title: of this page, where it is not the kind's.
        rest: the whole page, where something of it takes long; this is shown till then.
    """

    template: str
    values: Mapping[str, Any] = Factory(dict)
    status: int = 200
    title: str = ""
    rest: asyncio.Task[Rendered] | None = field(default=None, eq=False)


@frozen
class ActResult:
    """What came of an act.

    Attributes:
        to: page that shows it, below ``/console``, with its query.
        told: a sentence for the person.
    """

    to: str
    told: str = ""


@frozen
class Exported:
    """A file to save."""

    filename: str
    media_type: str
    body: bytes


@frozen
class Streamed:
    """A file to save that is made while it is sent, so that it never is in memory.

    Attributes:
        parts: of its bytes; each takes a few milliseconds to be made.
    """

    filename: str
    media_type: str
    parts: AsyncGenerator[bytes, None]


@frozen(kw_only=True)
class PageKind:
    """A page as the catalogue lists it.

    Attributes:
        path: below ``/console``; may end with ``/{name}``, which takes slashes too.
        nav: its place in the menu; None: it is not there.
        render: gives the page.
        acts: what its forms do, by the last part of the path that they are sent to.
        exports: files of it, by what ``?export=`` names.
        filters: fields of its filter form, in the order of its address.
        watches: it is shown anew when something changes in the realm.
    """

    path: str
    title: str
    render: Callable[[PageRequest], Awaitable[Rendered]]
    nav: int | None = None
    acts: Mapping[
        str, Callable[[PageRequest, Form], Awaitable[ActResult | Rendered]]
    ] = Factory(dict)
    exports: Mapping[
        str, Callable[[PageRequest], Awaitable[Exported | Streamed | Rendered]]
    ] = Factory(dict)
    filters: tuple[str, ...] = ()
    watches: bool = False
