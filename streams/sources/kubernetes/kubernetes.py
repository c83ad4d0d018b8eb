"""Kubernetes audit events: tokens issued, names ended, credentials in use.

Rules:

- One request has several stages; ResponseComplete counts, alone.
- Only a code 2xx changes anything. 401 refuses the use; other codes came after the
  credential was accepted, 403 too: authorisation follows authentication.
- The credential id ("JTI=..", "X509SHA256=..") is in the event of the issue as in
  those of its uses. A token's is known to guards as the claim ``jti``: an alias.
- A token requires its service account, its pod, and the credential that asked for
  it; a service account and a pod require their namespace.
- On EKS the caller's AWS key stands beside it: an alias, or the credential itself.
- Names of service accounts, pods, secrets and namespaces can be given again, so their
  deletion ends what was issued before it.
- Only the secrets that hold service account tokens count: by type where the level
  shows it, else by the name ``..-token-xxxxx`` that the controller gave.
- A deletecollection does not say what it deleted: a dead letter.

Source: Kubernetes documentation, "Auditing", "Managing service accounts"; the types
in staging/src/k8s.io/apiserver/pkg/apis/audit/v1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agents_registry.facts import Relation
from streams.model.records import Access, Parent, Tie
from streams.model.times import sound_time
from streams.sources.aws.identity import principal_of
from streams.sources.reading.dialect import (
    NO_ID,
    Dialect,
    DialectEvent,
    read_time,
)
from streams.sources.reading.fields import (
    identifier,
    listed,
    mapping,
    named,
    requires,
    text,
    tied,
)
from streams.sources.reading.kubernetes_carriers import as_native

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.identifiers import Identifier
    from streams.model.records import Lifecycle, Outcome, Record
    from streams.sources.descriptor import ReaderSettings
    from streams.sources.reading.envelope import Event

NOT_OURS: Final = "not_kubernetes: no verb and user; look which system wrote it"
_COMPLETE: Final = "ResponseComplete"
_EXTRA: Final = "authentication.kubernetes.io/"
# Some exporters rewrite the keys.
_REWRITTEN: Final = "authentication_kubernetes_io_slash_"
_ISSUED: Final = "issued-credential-id"
_ANONYMOUS: Final = "system:anonymous"  # who sent no credential
_ACCOUNT: Final = "system:serviceaccount:"
_TOKEN_SECRET: Final = re.compile(r".+-token-[a-z0-9]{5}")
_TOKEN_TYPE: Final = "kubernetes.io/service-account-token"  # noqa: S105 - a type
_REFUSED: Final = 401
_FORBIDDEN: Final = 403
_ENDED: Final = {
    "serviceaccounts": "k8s.service_account",
    "pods": "k8s.pod",
    "secrets": "k8s.secret",
    "namespaces": "k8s.namespace",
}


class Presenter(NamedTuple):
    """Who made a request, and with what.

    Attributes:
        credentials: the names of the presented credential, the primary one first.
        principal: the service account or user.
        parents: what the presented credential requires.
        ties: how its service account and pod hang together.
    """

    credentials: tuple[Identifier, ...]
    principal: Identifier | None
    parents: tuple[Parent, ...]
    ties: tuple[Tie, ...]


class Kubernetes(Dialect):
    """Read the audit events of one cluster.

    Args:
        cluster: a name that keeps apart the names of several clusters in one realm.
    """

    name = "kubernetes"

    def __init__(self, cluster: str = "") -> None:
        super().__init__()
        self._prefix = f"{cluster}/" if cluster else ""

    def read_event(self, item: Event) -> list[Record]:
        """Return the records of one event."""
        offset, length, body = item
        body = as_native(body)
        verb, user = text(body.get("verb")), mapping(body.get("user"))
        reference = mapping(body.get("objectRef"))
        kind = ":".join(
            part
            for part in (
                verb or "", text(reference.get("resource")) or "url",
                text(reference.get("subresource")) or "",
            ) if part
        )  # fmt: skip
        time, broken = read_time(
            body.get("stageTimestamp") or body.get("requestReceivedTimestamp")
        )
        seen = DialectEvent(
            self.name, body, offset, length, text(body.get("auditID")), kind, time,
            broken,
        )  # fmt: skip
        if verb is None:
            return [seen.letter(NOT_OURS)]
        if body.get("stage", _COMPLETE) != _COMPLETE:
            # Also a failed authentication, which has no user.
            self._count(f"stage:{text(body['stage']) or 'other'}"[:64])
            return []
        if not user:
            return [seen.letter(NOT_OURS)]
        presenter = self._presenter(user)
        actor = named(presenter.principal, *presenter.credentials)
        seen = seen._replace(actor=actor)
        code = mapping(body.get("responseStatus")).get("code")
        changes = self._changes(seen, presenter, verb, reference)
        done = type(code) is int and 200 <= code < 300  # noqa: PLR2004 - HTTP's 2xx
        return self._settled(
            seen, (changes or ()) if done else (), _use(seen, presenter, code),
            meant=changes is not None,
        )  # fmt: skip

    def _presenter(self, user: dict[str, Any]) -> Presenter:
        extra = mapping(user.get("extra"))
        account, ties = self._account(text(user.get("username")) or "")
        name = user.get("username")
        nobody = name == _ANONYMOUS
        principal = account or (None if nobody else identifier("k8s.user", name))
        pod_uid = identifier("k8s.pod_uid", _extra(extra, "pod-uid"))
        pod_name = _extra(extra, "pod-name")
        if pod_uid is not None and pod_name is not None and account is not None:
            space = account.value.rpartition("/")[0]
            pod = identifier("k8s.pod", f"{space}/{pod_name}")
            ties += tied(pod_uid, pod)
            ties += tied(pod, identifier("k8s.namespace", space))
        key = identifier("aws.access_key", _first(extra.get("accessKeyId")))
        own = credential_names(_extra(extra, "credential-id"))
        role = None
        if key is not None:
            role = principal_of(_first(extra.get("canonicalArn")))
        parents = requires(account or (role if key else principal), pod_uid, role)
        return Presenter(named(*own, key), principal, parents, ties)

    def _account(self, username: str) -> tuple[Identifier | None, tuple[Tie, ...]]:
        if not username.startswith(_ACCOUNT):
            return None, ()
        space, _, name = username[len(_ACCOUNT) :].partition(":")
        return self._service_account(space, name)

    def _service_account(
        self, space: Any, name: Any
    ) -> tuple[Identifier | None, tuple[Tie, ...]]:
        if not text(space) or not text(name):
            return None, ()
        account = identifier("k8s.service_account", f"{self._prefix}{space}/{name}")
        namespace = identifier("k8s.namespace", f"{self._prefix}{space}")
        return account, tied(account, namespace)

    def _changes(
        self,
        seen: DialectEvent,
        presenter: Presenter,
        verb: str,
        reference: dict[str, Any],
    ) -> tuple[Lifecycle, ...] | None:
        """Return changes of a successful request; None: its type changes nothing."""
        resource = text(reference.get("resource"))
        subresource = text(reference.get("subresource"))
        if (verb, resource, subresource) == ("create", "serviceaccounts", "token"):
            return (self._issue(seen, presenter, reference),)
        if verb not in ("delete", "deletecollection") or subresource is not None:
            return None
        if resource is None or resource not in _ENDED:
            return None
        if text(reference.get("apiGroup")):
            return None
        if verb == "deletecollection":
            # Secrets of any type go this way: nothing tells that a token is one.
            return (seen.change("delete_subject"),) if resource != "secrets" else ()
        return tuple(self._delete(seen, resource, reference))

    def _issue(
        self, seen: DialectEvent, presenter: Presenter, reference: dict[str, Any]
    ) -> Lifecycle:
        annotations = mapping(seen.body.get("annotations"))
        account, ties = self._service_account(
            reference.get("namespace"), reference.get("name")
        )
        names = credential_names(_extra(annotations, _ISSUED))
        bound = mapping(
            mapping(mapping(seen.body.get("requestObject")).get("spec")).get(
                "boundObjectRef"
            )
        )
        pod_uid = None
        if bound.get("kind") == "Pod":
            pod_uid = identifier("k8s.pod_uid", bound.get("uid"))
            pod = identifier(
                "k8s.pod",
                f"{self._prefix}{reference.get('namespace')}/{bound.get('name')}",
            )
            ties += tied(pod_uid, pod)
        parents = requires(account, pod_uid, *presenter.credentials[:1])
        if not presenter.credentials and presenter.principal is not None:
            parents += (Parent(*presenter.principal, Relation.CREATED_BY),)
        response = mapping(mapping(seen.body.get("responseObject")).get("status"))
        return seen.change(
            "issue", *names, parents=parents if names else (), ties=ties,
            owner=None if account is None else account.value, owners=named(account),
            reason=None if names else NO_ID,
            expires_at=sound_time(response.get("expirationTimestamp")),
        )  # fmt: skip

    def _delete(
        self, seen: DialectEvent, resource: str, reference: dict[str, Any]
    ) -> Iterator[Lifecycle]:
        name, space = text(reference.get("name")), text(reference.get("namespace"))
        if resource == "secrets" and not _holds_token(seen.body, name or ""):
            return
        value = None
        if name is not None:
            inside = resource != "namespaces"
            value = f"{self._prefix}{space}/{name}" if inside else self._prefix + name
        if resource != "namespaces" and space is None:
            value = None
        yield seen.change(
            "delete_subject", identifier(_ENDED[resource], value), owner=name
        )
        uid = text(reference.get("uid"))
        if resource == "pods" and uid is not None:
            yield seen.change("delete_subject", identifier("k8s.pod_uid", uid))


def credential_names(value: Any) -> tuple[Identifier, ...]:
    """Name a credential as Kubernetes does, and a token as its claim too."""
    credential = identifier("k8s.credential", value)
    if credential is None:
        return ()
    kind, _, rest = credential.value.partition("=")
    return named(credential, identifier("jwt.jti", rest) if kind == "JTI" else None)


def _holds_token(body: dict[str, Any], name: str) -> bool:
    for part in ("responseObject", "requestObject"):
        kind = text(mapping(body.get(part)).get("type"))
        if kind is not None:
            return kind == _TOKEN_TYPE
    return _TOKEN_SECRET.fullmatch(name) is not None


def _extra(extra: dict[str, Any], name: str) -> str | None:
    value = extra.get(_EXTRA + name)
    return _first(extra.get(_REWRITTEN + name) if value is None else value)


def _first(value: Any) -> str | None:
    found = listed(value)[:1] if type(value) is list else [value]
    return text(found[0]) if found else None


def _use(seen: DialectEvent, presenter: Presenter, code: Any) -> Access | None:
    """Access; without a credential id the principal stands for it."""
    presented = presenter.credentials or named(presenter.principal)
    if not presented:
        return None
    outcome: Outcome = "denied" if code == _REFUSED else "allowed"
    principal = presenter.principal
    return Access(
        seen.source, seen.event_id, seen.event_type, seen.time, presented, seen.offset,
        outcome, presenter.parents if presenter.credentials else (),
        None if principal is None else principal.value, named(principal),
        reason=f"code {code}" if code in (_REFUSED, _FORBIDDEN) else None,
        point="kubernetes",
        ties=presenter.ties,
        address=_first(seen.body.get("sourceIPs")),
        user_agent=text(seen.body.get("userAgent")),
    )  # fmt: skip


def configured(settings: ReaderSettings) -> Kubernetes:
    """Make a reader whose names begin with the cluster's."""
    return Kubernetes(settings.cluster)
