"""What a vendor's folder says of its source, without loading the reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping, Sequence

# Distributions outside the tree name their descriptors in this group of entry points.
GROUP: Final = "rescind.sources"


def _never(body: Mapping[str, Any]) -> bool:
    del body
    return False


@frozen
class ReaderSettings:
    """What a reader may have to know of the settings.

    Attributes:
        peppers: of the realm, where the vendor tells secrets by their hashes.
        cluster: stands before names that are unique in one cluster alone.
    """

    peppers: Sequence[bytes] = field(default=(), repr=False)
    cluster: str = ""


@frozen(kw_only=True)
class Descriptor:
    """One source.

    Attributes:
        name: of the source, as settings and ``--source`` have it.
        reader: ``module:Class``; imported when the source is first used.
        speaks: tells by the body of one event that this source wrote it. It is asked
            after those of the folders before it, so it may be wider than theirs.
        kinds: of names that are in no vocabulary yet, each with its class:
            ``credential``, ``principal`` or ``container``.
        line: finds a line that only this source writes, where lines are no JSON.
        page: its documentation: a file in docs/sources, or an address.
        samples: the folder of its samples and their answers, below the root of the
            tree; empty where its samples lie elsewhere.
        configured: ``module:function`` that makes a reader of `ReaderSettings`, where
            it needs them.
        hooks: senders of webhooks by their name in settings, each the
            ``module:Class`` of a `streams.sources.hooking.HookVendor`.
        polls: logs that are read from its API, by ``vendor`` of their settings, each
            the ``module:Class`` of a `streams.sources.polling.settings.PollSettings`.
        adopts: lists of what exists already, by the command below ``rescind adopt``,
            each the ``module:object`` of an `Adoption` (`streams.sources.adopting`).
    """

    name: str
    reader: str
    speaks: Callable[[Mapping[str, Any]], bool] = field(default=_never)
    kinds: Mapping[str, str] = field(factory=dict)
    line: re.Pattern[bytes] | None = None
    page: str
    samples: str = ""
    configured: str = ""
    hooks: Mapping[str, str] = field(factory=dict)
    polls: Mapping[str, str] = field(factory=dict)
    adopts: Mapping[str, str] = field(factory=dict)
