"""Settings whose model is a vendor's own; it is loaded once such settings are read.

Most processes read none of most vendors, and all of their models together are a tenth
of what a server loads.
"""

from __future__ import annotations

from functools import cached_property, reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import BaseModel, Field, TypeAdapter
from pydantic_core import core_schema

from streams.model.extensions import loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Models = Callable[[], Mapping[str, str]]


class ByVendor:
    """A mark on a type of settings: their field ``vendor`` says which model they have.

    Attributes:
        own: ``module:Class`` of the models of this tree, by their vendors.
        every: the same, with what other distributions bring.
    """

    def __init__(self, own: Models, every: Models) -> None:
        """Load nothing yet."""
        self.own = own
        self.every = every

    @cached_property
    def whole(self) -> Any:
        """Type of the settings of all vendors of this tree."""
        models = [loaded(where) for _, where in sorted(self.own().items())]
        union = reduce(or_, models)
        return Annotated[union, Field(discriminator="vendor")] if models[1:] else union

    def read(self, value: Any) -> Any:
        """Read settings by the model of their vendor.

        Raises:
            pydantic.ValidationError: they do not fit it, or there is no such vendor.
            ExtensionError: what a distribution brings does not load.
        """
        vendor = value.get("vendor") if isinstance(value, dict) else None
        where = None
        if isinstance(vendor, str):
            where = self.own().get(vendor) or self.every().get(vendor)
        if where is not None:
            return loaded(where).model_validate(value)
        return self._adapter.validate_python(value)

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.whole)

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: Any
    ) -> core_schema.CoreSchema:
        """Return the schema of pydantic, which is to know no model."""
        return core_schema.no_info_plain_validator_function(self.read)


def whole(annotation: Any) -> Any:
    """Type with the models of all vendors, where it is marked; else the same."""
    marks = (each for each in get_args(annotation) if isinstance(each, ByVendor))
    mark = next(marks, None)
    return annotation if mark is None else mark.whole


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a type speaks of."""
    annotation = whole(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)
