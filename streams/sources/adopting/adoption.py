"""A command below ``rescind adopt``: its options, and how its list is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from streams.sources.adopting.listing import Listing
    from streams.sources.adopting.walk import Walk


class ListedSystem(Protocol):
    """Where a listing is read: saved answers, or a system that is asked.

    Each method may raise ListingError, with a text for a person.

    Attributes:
        files: with saved answers; empty: the system is asked.
        base: URL of the system, without a slash at its end.
        saved: when the newest of the files was written, RFC 3339.
    """

    @property
    def files(self) -> tuple[Path, ...]: ...  # noqa: D102 - see above
    @property
    def base(self) -> str: ...  # noqa: D102 - see above
    @property
    def saved(self) -> str | None: ...  # noqa: D102 - see above

    def documents(self) -> list[dict[str, Any]]:
        """Read the saved answers as JSON."""

    def contents(self) -> Iterator[bytes]:
        """Return the saved answers as they are."""

    def secret(self, *variables: str) -> str:
        """Credential on one line: of its file, or of the first variable that is set."""

    def values(self, *names: str) -> dict[str, str]:
        """Credential of several parts: of lines NAME=VALUE, or of the environment."""

    def time(self) -> int:
        """Time (ns)."""

    def now(self) -> str:
        """Time, RFC 3339."""

    def walk(
        self,
        walk: Walk,
        headers: Mapping[str, str],
        below: str = "",
        tokens: tuple[str, str, str] | None = None,
        sign: Callable[[str, bytes], Mapping[str, str]] | None = None,
    ) -> Listing:
        """Ask the system, under a path and with headers that hold the credential.

        Instead of these, ``tokens`` says where access tokens are got by client
        credentials, with the client's id and secret, or ``sign`` signs a form.
        """


@frozen
class Option:
    """An option of a command, beside those that all have.

    Attributes:
        flag: such as ``--client-id``; the reader gets it as ``client_id``.
        help: one sentence.
        default: a text; False for a switch; () for one that can be repeated, of which
            the reader gets None or a list.
        argument: name at the reader, where it is another one.
    """

    flag: str
    help: str
    default: str | bool | tuple[str, ...] = ""
    argument: str = ""

    @property
    def name(self) -> str:
        """Name of the argument."""
        return self.argument or self.flag.removeprefix("--").replace("-", "_")


@frozen(kw_only=True)
class Adoption:
    """A list of what exists already.

    Attributes:
        authority: in whose name it declares without ``--authority``.
        help: one line for ``rescind adopt --help``, with the variables of the
            environment that may hold the credential.
        read: reads the listing; the options are its keyword arguments.
        options: its own.
    """

    authority: str
    help: str
    read: Callable[..., Listing]
    options: tuple[Option, ...] = ()
