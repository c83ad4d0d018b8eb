"""What an operator sets for logs that are read from vendors' APIs.

Each is a name with values: ``polls: {ours: {vendor: NAME, ...}}``. The settings of a
vendor are a model in its folder, which its descriptor names.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator

from streams.model.extensions import loaded
from streams.sources.catalogue import offered, own

if TYPE_CHECKING:
    from streams.sources.polling.settings import PollSettings


def _of_vendor(value: Any, ours: ValidatorFunctionWrapHandler) -> Any:
    """Read the settings of a poll by the model of its vendor, also of a brought one."""
    vendor = value.get("vendor") if isinstance(value, dict) else None
    if isinstance(vendor, str) and vendor not in offered("polls", own()):
        brought = offered("polls").get(vendor)
        if brought is not None:
            return loaded(brought).model_validate(value)
    return ours(value)


if TYPE_CHECKING:
    AnyPoll = PollSettings
else:
    _MODELS = [loaded(each) for _, each in sorted(offered("polls", own()).items())]
    AnyPoll = Annotated[
        reduce(or_, _MODELS), Field(discriminator="vendor"), WrapValidator(_of_vendor)
    ]
