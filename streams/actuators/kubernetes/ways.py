"""Service accounts, token secrets and pods of a cluster: how each of them is ended.

Rules:

- A token carries the UID of its service account, and of the object that it is bound to.
  Where that is deleted and made anew under its name, older tokens are dead and the name
  lives on: that is the end of what was issued up to a time.
- A service account is deleted by its UID, and made anew with its labels, annotations
  and pull secrets where its name is to live on. These are stored before it is deleted,
  so that a restart makes it anew.
- A token secret and a pod are deleted by their UID. Of them the metadata alone is asked
  for, so no secret comes here.
- A token itself cannot be ended: it is dead with its pod, its secret or its account, if
  these end too.
- An API server keeps for ten seconds what it found of a token. So something is alive
  until it was missed for that long, or until its successor is that old.

Source: Kubernetes documentation, "Managing Service Accounts" (bound tokens), "Using
finalizers", API reference (DeleteOptions; PartialObjectMetadata); measured on 1.34.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import orjson
from attrs import define, field

from streams.actuators.calls import Call, object_of, path
from streams.actuators.ways import Look, Way, alive, dead, never
from streams.model.endings import Alive, Ending, WantedEnd
from streams.model.times import SECOND, sound_time
from streams.outbound.answers import OK, RequestError
from streams.sources.reading.fields import mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agents_registry.identifiers import Identifier
    from streams.actuators.calls import IssuerApi
    from streams.model.endings import EndTarget
    from streams.outbound.answers import HttpAnswer

METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
REPLACES: Final = "rescind/replaces-uid"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
KEPT: Final = ("automountServiceAccountToken", "imagePullSecrets")
CACHED: Final = 11 * SECOND
SETTLES: Final = 15.0  # seconds
MOST_MISSED: Final = 10_000
CONFLICT: Final = frozenset({409})
BY_ITSELF: Final = (
    "Kubernetes ends no token by itself; end its service account, pod or secret"
)
MOST_KEPT: Final = 64 << 10  # characters
HALF: Final = "it was deleted, and not made anew yet"
TOO_LONG: Final = (
    "its labels and annotations are too long to be stored until it is made anew: "
    "delete it, and make it anew, by hand"
)
ELSEWHERE: Final = "its name is not one of this cluster"


def missing(answer: HttpAnswer) -> bool:
    """Whether the API server itself says so: a Status whose reason is NotFound."""
    said = object_of(answer)
    return said.get("kind") == "Status" and said.get("reason") == "NotFound"


@define(eq=False)
class Settling:
    """Since when objects are missed.

    What is forgotten, since there is too much of it, waits again: that costs seconds,
    and no proof.
    """

    clock: Callable[[], int]
    _missed: dict[Identifier, int] = field(factory=dict, init=False)

    def missed(self, name: Identifier) -> Look:
        """Look at an object that is gone."""
        now = self.clock()
        if name not in self._missed and len(self._missed) >= MOST_MISSED:
            self._missed.clear()
        return self.since(self._missed.setdefault(name, now), "it is gone")

    def seen(self, name: Identifier) -> None:
        """Note that an object is there."""
        self._missed.pop(name, None)

    def since(self, since: int, reason: str) -> Look:
        """Look at something that is over since a time (ns)."""
        if self.clock() - since < CACHED:
            return alive(f"{reason}; an API server may accept its tokens for 10 s more")
        return dead(reason)


class KubernetesWay(Way):
    """An object whose tokens die with its UID.

    Args:
        cluster: stands before names, where the realm has several clusters.
        settling: since when objects are missed.
    """

    resource: ClassVar[str]
    noun: ClassVar[str]
    accept: ClassVar[str] = METADATA

    def __init__(self, cluster: str, settling: Settling) -> None:
        self._prefix = f"{cluster}/" if cluster else ""
        self._settling = settling

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Read the object; a successor under its name is another one."""
        name = target.identifier
        place = self.place(name)
        if place is None:
            return never(ELSEWHERE)
        headers = {"accept": self.accept}
        call = Call(f"read the {self.noun}", "GET", place, headers=headers)
        found = await api.object(call, missing)
        if found is None:
            return self.half_done(target, place) or self._settling.missed(name)
        metadata = mapping(found.get("metadata"))
        since, made = target.not_before, sound_time(metadata.get("creationTimestamp"))
        if since is not None and made is not None and _is_later(metadata, made, since):
            return self._settling.since(made, "it was made anew since")
        self._settling.seen(name)
        return alive("it is there", place=place, uid=metadata.get("uid"), object=found)

    def half_done(self, target: EndTarget, place: str) -> Look | None:
        """Look at what is gone, if an act of ours is to put it back."""
        del target, place
        return None

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Delete the object that was seen, and none that has its name by now."""
        del target
        if "place" in found:
            options = {
                "kind": "DeleteOptions", "apiVersion": "v1",
                "preconditions": {"uid": found["uid"]},
            }  # fmt: skip
            yield Call(
                f"delete the {self.noun}", "DELETE", found["place"],
                json=options, also=CONFLICT,
            )  # fmt: skip

    def place(self, name: Identifier) -> str | None:
        """Path of the object; None: its name is not one of this cluster."""
        if not name.value.startswith(self._prefix):
            return None
        space, _, own = name.value.removeprefix(self._prefix).partition("/")
        if not space or not own or "/" in own:
            return None
        return path("api", "v1", "namespaces", space, self.resource, own)


class TokenSecretWay(KubernetesWay):
    """A secret that holds a token, or that tokens are bound to."""

    resource = "secrets"
    noun = "secret"
    ending: ClassVar[Ending] = Ending("delete the secret", dated=True, settles=SETTLES)


class PodWay(KubernetesWay):
    """A pod that tokens are bound to; its controller makes another one."""

    resource = "pods"
    noun = "pod"
    ending: ClassVar[Ending] = Ending("delete the pod", dated=True, settles=60.0)


class ServiceAccountWay(KubernetesWay):
    """A service account."""

    resource = "serviceaccounts"
    noun = "service account"
    accept = "application/json"
    ending: ClassVar[Ending] = Ending(
        "delete the service account, and make it anew where its name is to live on",
        dated=True, settles=SETTLES,
    )  # fmt: skip

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Delete it; make it anew where its name is to live on."""
        anew = found.get("anew")
        if anew is None:
            yield from super().calls(target, found)
            if target.not_before is not None and "place" in found:
                anew = _anew(found["object"])
        if anew is not None:
            yield Call(
                "make the service account anew", "POST",
                found["place"].rpartition("/")[0], json=anew, also=CONFLICT,
            )  # fmt: skip

    def half_done(self, target: EndTarget, place: str) -> Look | None:
        """Look at one that was deleted, and not made anew yet."""
        back = target.wanted is WantedEnd.RESTORED
        if not target.kept or (target.not_before is None and not back):
            return None
        found = {"place": place, "anew": orjson.loads(target.kept)}
        return Look(Alive.DEAD if back else Alive.ALIVE, HALF, found)

    def kept(self, target: EndTarget, found: Mapping[str, Any]) -> str:
        """Return the account as it is made anew."""
        if "anew" in found:
            return target.kept
        if target.not_before is None or "object" not in found:
            return ""
        kept = orjson.dumps(_anew(found["object"])).decode()
        if len(kept) > MOST_KEPT:
            raise RequestError("too_long", TOO_LONG, status=OK)
        return kept

    def untouched(self, target: EndTarget, found: Mapping[str, Any]) -> bool:
        """Whether the account that was to be deleted is there, and stays."""
        if not target.kept or "object" not in found:
            return False
        metadata = mapping(found["object"].get("metadata"))
        annotations = orjson.loads(target.kept)["metadata"]["annotations"]
        leaves = "deletionTimestamp" in metadata
        return metadata.get("uid") == annotations[REPLACES] and not leaves


def _anew(found: Mapping[str, Any]) -> dict[str, Any]:
    """Service account of the same name, of which no token was issued yet."""
    old = mapping(found.get("metadata"))
    annotations = mapping(old.get("annotations")) | {REPLACES: old.get("uid")}
    annotations.pop(LAST_APPLIED, None)
    metadata = {"name": old.get("name"), "annotations": annotations}
    if "labels" in old:
        metadata["labels"] = old["labels"]
    kept = {name: found[name] for name in KEPT if name in found}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata} | kept


def _is_later(metadata: Mapping[str, Any], made: int, since: int) -> bool:
    """Whether an object was made after a time; it tells its own in whole seconds.

    In the same second only what was made here is surely another one: it names the UID
    that it replaces.
    """
    if made > since:
        return True
    replaced = mapping(metadata.get("annotations")).get(REPLACES)
    same_second = made == since - since % SECOND
    return same_second and replaced not in (None, metadata.get("uid"))
