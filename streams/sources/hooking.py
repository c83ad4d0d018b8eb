"""What a vendor's webhook is: its handshake, its proof and what its requests hold.

It is pure: the server reads bodies, bounded in time and size, and asks here what they
are worth. A vendor's hook is a subclass in the vendor's folder, which its descriptor
names.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, ClassVar, Final

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.sources import Source
    from streams.sources.descriptor import ReaderSettings

# What is read before it is known who sent it, where the vendor sends less.
MOST_UNSIGNED: Final = 1 << 20
TAKEN: Final = 202


class NotJsonError(ValueError):
    """The sender must send JSON; the text says how to set it up."""


@frozen
class HookRequest:
    """What a request says before its body.

    Attributes:
        headers: asked without regard to case.
        query: of the URL.
        content_type: without parameters.
        secret: that its sender and this server share.
        header: that carries it, where the settings choose one.
        now: ns.
    """

    headers: Mapping[str, str]
    query: Mapping[str, str] = field(factory=dict)
    content_type: str = ""
    secret: str = field(default="", repr=False)
    header: str = "Authorization"
    now: int = 0


@frozen
class HookReply:
    """An answer to a request."""

    body: bytes = b""
    content_type: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)


class HookVendor:
    """A sender of hooks; by default one that signs its bodies.

    Attributes:
        source: name of the source that reads the bodies.
        carries: other systems' events; ``format`` of the settings says whose.
        chooses_header: ``header`` of the settings names the one that has the secret.
        knows_early: the secret is in a header or the URL, so the sender is known before
            its body.
        rereads: the file of the secret is read anew for each request.
        packed: `opened` takes long, and runs in a thread.
        largest: bytes of a body whose sender is not known yet; None: as for others.
    """

    source: ClassVar[str] = ""
    carries: ClassVar[bool] = False
    chooses_header: ClassVar[bool] = False
    knows_early: ClassVar[bool] = False
    rereads: ClassVar[bool] = False
    packed: ClassVar[bool] = False
    largest: ClassVar[int | None] = None

    def admits(self, request: HookRequest) -> bool:
        """Whether its body is read: it proves itself, or may do so by the body."""
        raise NotImplementedError

    def proves(self, request: HookRequest, body: bytes) -> bool:
        """Whether the body is the sender's; asked after `admits`."""
        del request, body
        return True

    def shaken(self, request: HookRequest) -> HookReply | None:
        """Answer a handshake by POST; None: it is none."""
        del request
        return None

    def verification(self, request: HookRequest) -> bytes | None:
        """Answer a handshake by GET with JSON; None: it is none."""
        del request
        return None

    def opened(self, body: bytes) -> bytes:
        """Body in the form that the source reads.

        Raises:
            ValueError: the body is not what this vendor sends.
        """
        return body

    def reader(self, request: HookRequest, settings: ReaderSettings) -> Source | None:
        """Reader of a request; None: that of the source.

        Raises:
            NotJsonError: it is no JSON.
        """
        del request, settings
        return None

    def reply(self, request: HookRequest) -> HookReply:
        """Answer, once all is on disk."""
        del request
        return HookReply(status=TAKEN)


class HeaderHook(HookVendor):
    """Sends the secret as the value of a header.

    Attributes:
        header: its name; empty: as the settings say.
        prefix: stands before the secret.
    """

    knows_early = True
    header: ClassVar[str] = ""
    prefix: ClassVar[str] = ""

    def admits(self, request: HookRequest) -> bool:
        """Compare in constant time; an empty secret fits nothing."""
        given = request.headers.get(self.header or request.header)
        return same(request.secret, given, self.prefix)


def same(secret: str, given: str | None, prefix: str = "") -> bool:
    """Whether a value is the secret, in constant time; an empty secret fits nothing."""
    if not secret or given is None:
        return False
    wanted = f"{prefix}{secret}".encode()
    return hmac.compare_digest(wanted, given.encode(errors="surrogatepass"))
