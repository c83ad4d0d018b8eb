"""What an operator sets for logs that are read from vendors' APIs.

Each is a name with values: ``polls: {ours: {vendor: NAME, ...}}``. The settings of a
vendor are a model in its folder, which its descriptor names.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

from streams.model.by_vendor import ByVendor
from streams.sources.catalogue import offered, own
from streams.sources.polling.settings import PollSettings

if TYPE_CHECKING:
    from collections.abc import Mapping


def _own() -> Mapping[str, str]:
    return offered("polls", own())


if TYPE_CHECKING:
    AnyPoll = PollSettings
else:
    AnyPoll = Annotated[PollSettings, ByVendor(_own, partial(offered, "polls"))]
