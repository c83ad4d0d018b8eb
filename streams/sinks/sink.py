"""What a sink is: it gives a delivery the form of its vendor, and reads the answer.

A sink is pure: a delivery and a time in, a request out. `streams.sinks.http_delivery`
does the rest for all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.stages.notify.deliveries import Delivery

JSON: Final = "application/json"


@frozen(kw_only=True)
class SinkRequest:
    """A POST. Nothing of it is shown: URL, headers and body may hold a secret."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False, factory=dict)
    body: bytes = field(repr=False)


class Sink:
    """One vendor's form of an alert.

    Attributes:
        ports: that its receivers on the public internet listen on.
        url: where it posts.
    """

    ports: ClassVar[frozenset[int]] = frozenset({443, 8443})
    url: str

    def request(self, delivery: Delivery, now: int) -> SinkRequest:
        """Request of an attempt at ``now`` (ns)."""
        raise NotImplementedError

    def question(self, answer: bytes) -> SinkRequest | None:
        """Request to repeat until a 2xx counts; None where it counts as it is.

        Args:
            answer: the body that came with the 2xx.
        """
        del answer
        return None

    def settled(self, answer: bytes) -> bool:
        """Whether the answer to the question says that the message is safe."""
        del answer
        return True
