"""Where ``rescind adopt`` reads a listing: saved answers, logs, or a system."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from agents_registry.identifiers import VOCABULARY, extend
from streams.adopt.system_calls import System, checked_base, run
from streams.adopt.used import UsedLog
from streams.model.times import rfc3339
from streams.outbound.answers import UnreadableAnswerError
from streams.outbound.client_credentials import ClientCredentials
from streams.services.parse import chosen, parse_paths
from streams.sources.adopting.listing import ListingError
from streams.sources.adopting.walk import documents
from streams.sources.mapped.mapping import load_mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agents_registry.identifiers import NodeClass
    from streams.sources.adopting.listing import Listing
    from streams.sources.adopting.walk import Walk

    Sign = Callable[[str, bytes], Mapping[str, str]]


@frozen
class ListingSource:
    """Where a listing is read: saved answers, or a system that is asked.

    Attributes:
        files: with saved answers.
        base: URL of the system.
        secret_file: holds the credential that opens it.
        ca: certificates to trust.
    """

    files: tuple[Path, ...] = ()
    base: str = ""
    secret_file: Path | None = None
    ca: Path | None = None

    def checked(self) -> ListingSource:
        """Itself, if it names exactly one place.

        Raises:
            ListingError: it says none, or two.
        """
        if bool(self.files) == bool(self.base):
            raise ListingError("name saved answers, or the system with --from URL")
        return attrs.evolve(self, base=checked_base(self.base)) if self.base else self

    def documents(self) -> list[dict[str, Any]]:
        """Read the saved answers.

        Raises:
            ListingError: a file cannot be read as such.
        """
        found: list[dict[str, Any]] = []
        for path in self.files:
            try:
                found += documents(path.read_bytes())
            except UnreadableAnswerError as error:
                raise ListingError(f"{path}: {error}") from error
        return found

    def contents(self) -> Iterator[bytes]:
        """Return the saved answers as they are."""
        yield from (path.read_bytes() for path in self.files)

    def log(self, name: str | None, mapping: Path | None) -> Listing:
        """Read logs instead: what they show in use.

        Raises:
            ValueError: there is no such source, or the mapping has an error.
            OSError: a file cannot be read.
        """
        vocabulary: Mapping[str, NodeClass] = VOCABULARY
        if mapping is not None:
            loaded = load_mapping(mapping.read_text("utf-8"), str(mapping))
            vocabulary = extend(loaded.kinds)
        log = UsedLog(vocabulary, time.time_ns())  # noqa: TID251 - a command
        for record in parse_paths(self.files, chosen(name, mapping)):
            log.add(record)
        return log.listing()

    @property
    def saved(self) -> str | None:
        """Time at which the newest of the files was written, RFC 3339."""
        return rfc3339(max(path.stat().st_mtime_ns for path in self.files))

    @staticmethod
    def time() -> int:
        """Time (ns)."""
        return time.time_ns()  # noqa: TID251 - a command

    def now(self) -> str:
        """Time, RFC 3339."""
        return rfc3339(self.time()) or ""

    def values(self, *names: str) -> dict[str, str]:
        """Credential of several parts: of lines NAME=VALUE, or of the environment.

        Raises:
            OSError: the file cannot be read.
        """
        given: Mapping[str, str] = os.environ
        if self.secret_file is not None:
            lines = self.secret_file.read_text("utf-8").splitlines()
            pairs = (line.partition("=") for line in lines)
            given = {name.strip(): value.strip() for name, _, value in pairs}
        return {name: given[name] for name in names if name in given}

    def secret(self, *variables: str) -> str:
        """Credential, from the file or the environment.

        Args:
            variables: of the environment, asked in turn without a file.

        Raises:
            ListingError: there is none, or it is not one line.
            OSError: the file cannot be read.
        """
        if self.secret_file is not None:
            found = self.secret_file.read_text("utf-8").strip()
        else:
            given = (os.environ.get(name, "").strip() for name in variables)
            found = next(filter(None, given), "")
        if not found:
            wanted = " or ".join(("--secret-file", *variables))
            raise ListingError(f"no credential to ask with: give it by {wanted}")
        if not found.isascii() or not found.isprintable():
            raise ListingError("the credential is not one line of plain characters")
        return found

    def walk(
        self,
        walk: Walk,
        headers: Mapping[str, str],
        below: str = "",
        tokens: tuple[str, str, str] | None = None,
        sign: Sign | None = None,
    ) -> Listing:
        """Ask the system.

        Args:
            walk: what to ask.
            headers: with the credential.
            below: path of the API under the base.
            tokens: where access tokens are got by client credentials, the client's id
                and its secret; then headers have none.
            sign: gives the headers of a request instead.

        Raises:
            ClientError, ListingError: it does not come to its end.
        """
        granted = None
        if tokens is not None:
            url, client_id, secret = tokens
            granted = ClientCredentials(url, client_id, lambda: secret, time.monotonic)
        system = System(self.base + below, headers, self.ca, granted, sign)
        return asyncio.run(run(walk, system))
