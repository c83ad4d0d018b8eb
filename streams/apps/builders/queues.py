"""Put together what reads queues, on either engine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from streams.apps.builders.access import ConfigurationError
from streams.apps.builders.hooks import check_authorities, peppers_of
from streams.pollers.aws_credentials import Configured, OfRole
from streams.pollers.sqs import Queued, QueueReader
from streams.sources.aws.sigv4 import Credentials
from streams.sources.catalogue import source
from streams.sources.descriptor import ReaderSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streams.http.events import Speakers
    from streams.pollers.aws_credentials import Keys
    from streams.services.intake import Acceptance, IntakeBatch
    from streams.settings.queues import QueueSettings
    from streams.settings.server import Settings


def queue_readers(
    settings: Settings,
    speakers: Speakers,
    write: Callable[[IntakeBatch], Awaitable[Acceptance]],
    count: Callable[[str, str, str], None],
) -> tuple[QueueReader, ...]:
    """Make what the settings ask for.

    Args:
        settings: of the server.
        speakers: give origin and rights.
        write: writes a batch, and waits until it can.
        count: is told how each request ended.

    Raises:
        ConfigurationError: they cannot be used.
    """
    check_authorities(settings, "queue", settings.queues)
    peppers, clock = peppers_of(settings), speakers.clock

    def queued(name: str, each: QueueSettings) -> Queued:
        return Queued(
            name=name,
            settings=each,
            keys=_keys(name, each, clock),
            make=lambda: source(each.format, ReaderSettings(peppers)),
            speaker=lambda: speakers.speaker(each.authority, f"queue:{name}"),
            write=write,
        )

    return tuple(
        QueueReader(queued(name, each), clock, count)
        for name, each in settings.queues.items()
    )


def _keys(name: str, each: QueueSettings, clock: Callable[[], int]) -> Keys:
    key_id, key, session = each.key_id, each.key, each.session
    if key_id is None or key is None:
        return OfRole(os.environ, clock, f"https://sts.{each.place}.amazonaws.com/")

    def read() -> Credentials:
        return Credentials(key_id, key.reveal(), session.reveal() if session else "")

    try:
        read()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"queue {name}: {key.file or 'key'}: {error}"
        ) from error
    return Configured(read)
