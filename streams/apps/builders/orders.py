"""What takes the orders of operators, put together the same on either engine."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from streams.apps.builders.hooks import secret_names
from streams.http.acts import Acts
from streams.http.auth import holder_of
from streams.http.ending_orders import EndingOrders
from streams.http.operators import Operators
from streams.http.order_metrics import OrderMetrics
from streams.http.plans import Plans
from streams.http.schedule import ScheduledOrders
from streams.services.approval_queue import ApprovalQueue
from streams.services.blast_limit import BlastLimit, Limit
from streams.services.plans import KeptPlans
from streams.services.quota_watch import QuotaWatch
from streams.services.quotas import Quotas
from streams.services.schedule import Schedule
from streams.stages.ingest.quota import DAY, Bucket, Quota

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from agents_registry.identifiers import Vocabulary
    from streams.apps.builders.vaults import Vaults
    from streams.http.auth import Tokens
    from streams.http.events import Speakers
    from streams.ports.keyed_store import KeyedStore
    from streams.services.blast_limit import ReachTables
    from streams.services.ingest import Intake
    from streams.settings.access import QuotaSettings
    from streams.settings.server import Settings

    MakeLimit = Callable[[dict[str, Limit], ReachTables, ApprovalQueue], BlastLimit]


@frozen
class Orders:
    """The desk and what speaks with it.

    Attributes:
        log: what is written goes through it.
        quota_watch: tells who is over a quota.
    """

    tokens: Tokens
    speakers: Speakers
    desk: ApprovalQueue
    operators: Operators
    endings: EndingOrders
    plans: Plans
    log: Intake
    quota_watch: QuotaWatch

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        self.endings.add_to(app)
        self.plans.add_to(app)
        app.router.add_post("/v1/adopt", self.operators.adopt)
        Acts(self.tokens, self.operators, self.desk).add_to(app)
        realm = self.speakers.settings.realm
        ScheduledOrders(self.tokens, self.desk.schedule, realm).add_to(app)

    @property
    def collector(self) -> OrderMetrics:
        """Collector for ``/metrics``."""
        return OrderMetrics(self.desk, self.log, self.speakers.clock)

    @property
    def limited(self) -> bool:
        """Whether any authority has a blast limit: then a table is needed."""
        return bool(self._limits)

    def hold_to(self, tables: ReachTables, judge: MakeLimit = BlastLimit) -> None:
        """Hold revocations to the limits of their authorities from now on, if any."""
        if self.limited:
            limit = judge(self._limits, tables, self.desk)
            self.log.limit = self.operators.limit = limit
            self.endings.limit = self.desk.schedule.limit = limit

    @property
    def _limits(self) -> dict[str, Limit]:
        """Limits by authority."""
        return {
            name: Limit(each.blast_limit, each.over_limit == "hold")
            for name, each in self.speakers.settings.authorities.items()
            if each.blast_limit is not None
        }


def orders(  # noqa: PLR0913 - each by name
    *,
    tokens: Tokens,
    speakers: Speakers,
    log: Intake,
    kept: KeyedStore,
    vocabulary: Vocabulary,
    vaults: Vaults,
    fresh_id: Callable[[], str],
    owner: str = "",
) -> Orders:
    """Put it together.

    Args:
        tokens: who may give orders.
        speakers: give origin and rights, and have the settings.
        log: writes.
        kept: keeps what waits for a second person.
        vocabulary: kind to class.
        vaults: give the names that the logs have.
        fresh_id: gives unique ids.
        owner: name of the process, where several carry out what is scheduled.
    """
    settings = speakers.settings
    desk = ApprovalQueue(
        kept=kept,
        log=log,
        rules=settings.approvals,
        realm=settings.realm,
        clock=speakers.clock,
        fresh_id=fresh_id,
        persons=_persons(settings),
    )
    desk.schedule = Schedule(
        kept=kept,
        log=log,
        desk=desk,
        realm=settings.realm,
        clock=speakers.clock,
        owner=owner,
        may_lift=partial(_may_lift, settings, tokens),
    )
    log.quotas = _quotas(settings)
    log.stated.secrets = secrets = secret_names(settings)
    operators = Operators(tokens, speakers, log, vocabulary, vaults.names, desk)
    operators.secrets = secrets
    endings = EndingOrders(tokens, operators, speakers, desk)
    plans = Plans(
        tokens,
        operators,
        endings,
        KeptPlans(kept, speakers.clock, owner),
        speakers.clock,
        partial(log.written, settings.realm),
        fresh_id,
    )
    watch = QuotaWatch(log, speakers.own)
    return Orders(tokens, speakers, desk, operators, endings, plans, log, watch)


def _may_lift(settings: Settings, tokens: Tokens, name: str) -> bool:
    """Whether a credential is one of a restorer, as far as the settings tell.

    Of the holders of OpenID tokens their issuer alone knows.
    """
    realm, label = settings.realm, name.partition(":")[0]
    clients = () if settings.tls is None else settings.tls.clients
    return (
        tokens.still(name, "restorer")
        or (":" in name and label in settings.oidc)
        or any(
            each.name == name and holder_of(each, realm).may(realm, "restorer")
            for each in clients
        )
    )


def _persons(settings: Settings) -> dict[str, str]:
    """Whose the credentials of the settings are, by their names."""
    certificates = () if settings.tls is None else settings.tls.clients
    of_all = (*settings.tokens, *certificates)
    return {each.name: each.person or each.name for each in of_all}


def _quotas(settings: Settings) -> Quotas:
    """Quotas by authority, by a clock that nobody sets."""
    by_name = {name: _quota(each.quota) for name, each in settings.authorities.items()}
    return Quotas(by_name, time.monotonic)


def _quota(given: QuotaSettings) -> Quota:
    def bucket(rate: float | None) -> Bucket | None:
        return None if rate is None else Bucket(rate, rate * given.burst_seconds)

    nodes = given.nodes_per_day
    return Quota(
        issue=bucket(given.facts_per_second),
        causes=bucket(given.causes_per_second),
        nodes=None if nodes is None else Bucket(nodes / DAY, nodes),
    )
