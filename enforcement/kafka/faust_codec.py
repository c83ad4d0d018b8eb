"""The records of the topics as a codec of Faust, by Faust's public API alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from faust.serializers import codecs

from schemas.codec import bundled
from schemas.errors import SchemaError

if TYPE_CHECKING:
    from schemas.codec import Codec

NAME: Final = "rescind"
UNREADABLE: Final = "unreadable"


class RecordCodec(codecs.Codec):
    """Reads the values of Rescind's topics: Avro behind the Confluent framing.

    A value becomes a dict of its fields, resolved to the newest version of its schema
    that this package knows. The schema's name (``finding``, ``invalidation``, ...) is
    under ``schema``. What cannot be read becomes ``{"schema": "unreadable", "fault":
    ...}``: an error would end the agent that reads, and lose the records in its buffer.
    """

    def __init__(self, codec: Codec | None = None) -> None:
        """Set up.

        Args:
            codec: with the ids of a schema registry; by default the bundled ids.
        """
        super().__init__()
        self._codec = codec or bundled()

    def _loads(self, s: bytes) -> dict[str, Any]:
        """Read a value."""
        try:
            name, _, record = self._codec.decode(s)
        except SchemaError as error:
            return {"schema": UNREADABLE, "fault": error.code.value}
        return {**record, "schema": name}

    def _dumps(self, s: Any) -> bytes:  # noqa: ARG002 - as Faust calls it
        """Refuse to write: only Rescind writes its topics.

        Raises:
            TypeError: always.
        """
        raise TypeError("the codec rescind reads: only Rescind writes its topics")


def register(codec: Codec | None = None, name: str = NAME) -> None:
    """Have Faust know the codec, for ``app.topic(..., value_serializer="rescind")``.

    Args:
        codec: with the ids of a schema registry; by default the bundled ids.
        name: under which topics ask for it.
    """
    codecs.register(name, RecordCodec(codec))
