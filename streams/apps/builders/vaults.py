"""Put together what asks vaults: names for operators, for leases, and what is stuck."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from streams.apps.builders.access import ConfigurationError
from streams.apps.builders.hooks import check_authorities
from streams.pollers.vault import VaultClient, names_in_log
from streams.pollers.vault_leases import IrrevocableLeases, Leases
from streams.services.intake import IntakeBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from agents_registry.identifiers import Identifier
    from streams.http.events import Speakers
    from streams.model.records import Record
    from streams.ports.keyed_store import KeyedStore
    from streams.services.ingest import Intake
    from streams.settings.server import Settings

    Loop = Callable[[], Coroutine[None, None, None]]


@frozen
class Vaults:
    """The vaults of the settings, by name."""

    vaults: Mapping[str, VaultClient]
    leases: Mapping[str, Leases]

    async def names(self, identifier: Identifier) -> tuple[Identifier, ...]:
        """Names in the audit logs for an identifier in plain text.

        Raises:
            UnhashedError: it is a secret, and there is no vault to hash it.
            VaultError: a vault did not answer.
        """
        return await names_in_log(identifier, self.vaults.values())

    async def complete(self, delivery: IntakeBatch) -> IntakeBatch:
        """Delivery whose new leases have both of their names."""
        leases = self.leases.get(delivery.origin.authority)
        if leases is None:
            return delivery
        return attrs.evolve(delivery, records=await leases.joined(delivery.records))

    def asking(self, log: Intake, speakers: Speakers) -> list[Loop]:
        """Coroutines that ask again for the names of leases."""
        return [
            functools.partial(leases.run, _taking(authority, log, speakers))
            for authority, leases in self.leases.items()
        ]

    def looking(
        self, ingest: Intake, kept: KeyedStore, speakers: Speakers
    ) -> dict[str, Loop]:
        """Coroutines that look for leases that cannot be revoked, by their names."""
        remind = speakers.settings.sentinel.silence / 2
        return {
            f"vault/{name}/irrevocable": IrrevocableLeases(
                vault,
                functools.partial(
                    speakers.speaker, vault.settings.authority, f"vault:{name}"
                ),
                kept,
                ingest,
                remind,
            ).run
            for name, vault in self.vaults.items()
            if vault.settings.irrevocable_seconds
        }


def _taking(
    authority: str, log: Intake, speakers: Speakers
) -> Callable[[Sequence[Record]], Coroutine[None, None, None]]:
    async def take(records: Sequence[Record]) -> None:
        speaker = speakers.speaker(authority, "vault:leases")
        await log.records(IntakeBatch(records, *speaker))

    return take


def configured_vaults(settings: Settings, kept: KeyedStore | None = None) -> Vaults:
    """Make what the settings ask for.

    Args:
        settings: of the server.
        kept: keeps what waits for a vault, where there is one.

    Raises:
        ConfigurationError: they cannot be used.
    """
    check_authorities(settings, "vault", settings.vaults)
    vaults, leases = {}, {}
    for name, each in settings.vaults.items():
        try:
            vaults[name] = vault = VaultClient(name, each)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"vault {name}: {error}") from error
        if each.join_leases:
            if each.authority in leases:
                text = f"vault {name}: {each.authority!r} speaks for another one"
                raise ConfigurationError(
                    f"{text}; give each cluster an authority of its own"
                )
            leases[each.authority] = Leases(vault, kept)
    return Vaults(vaults, leases)
