"""A Kubernetes API server in memory.

Source: Kubernetes API reference (ServiceAccount, Secret, Pod, DeleteOptions, Status);
answers as those of 1.34.4 (tests/integration/test_issuer_kubernetes.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field

from streams.model.times import rfc3339
from tests.issuers.fake import FakeIssuer, json

if TYPE_CHECKING:
    from streams.outbound.answers import HttpAnswer
    from tests.issuers.fake import Asked

SPACE = "/api/v1/namespaces/agents"
MADE = "2026-01-01T00:00:00Z"


def _object(uid: str, **more: Any) -> dict[str, Any]:
    metadata = {"name": "planner", "uid": uid, "creationTimestamp": MADE}
    return {"metadata": metadata | more}


@define
class FakeKubernetes(FakeIssuer):
    """A service account, a secret and a pod."""

    objects: dict[str, dict[str, Any]] = field(
        factory=lambda: {
            f"{SPACE}/serviceaccounts/planner": _object(
                "u-1", labels={"team": "orders"}, annotations={"a": "b"}
            )
            | {"automountServiceAccountToken": False, "secrets": [{"name": "x"}]},
            f"{SPACE}/secrets/planner": _object("u-2"),
            f"{SPACE}/pods/planner": _object("u-3"),
        }
    )
    uids: int = 9

    def answer(self, asked: Asked) -> HttpAnswer:
        """Answer as the API server does."""
        if asked.method == "POST":
            return self._create(asked)
        found = self.objects.get(asked.path)
        if found is None:
            return _status(404, "NotFound")
        if asked.method == "GET":
            return json(found)
        assert asked.method == "DELETE"
        if asked.body["preconditions"]["uid"] != found["metadata"]["uid"]:
            return _status(409, "Conflict")
        if asked.query.get("dryRun") != "All":
            del self.objects[asked.path]
        return json({"kind": "Status", "status": "Success"})

    def _create(self, asked: Asked) -> HttpAnswer:
        place = f"{asked.path}/{asked.body['metadata']['name']}"
        if place in self.objects:
            return _status(409, "AlreadyExists")
        self.uids += 1
        made = {"uid": f"u-{self.uids}",
                "creationTimestamp": rfc3339(self.now - self.now % 10**9)}  # fmt: skip
        self.objects[place] = asked.body | {"metadata": asked.body["metadata"] | made}
        return json(self.objects[place], 201)


def _status(code: int, reason: str) -> HttpAnswer:
    return json({"kind": "Status", "reason": reason, "code": code}, code)
