"""The descriptor of this source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.sources.descriptor import Descriptor
from streams.sources.reading.kubernetes_carriers import as_native

if TYPE_CHECKING:
    from collections.abc import Mapping


def _speaks(body: Mapping[str, Any]) -> bool:
    inner = as_native(dict(body))
    return "verb" in inner and isinstance(inner.get("user"), dict)


VENDOR = Descriptor(
    name="kubernetes",
    reader="streams.sources.kubernetes.kubernetes:Kubernetes",
    speaks=_speaks,
    page="kubernetes.md",
    samples="tests/samples/kubernetes",
    configured="streams.sources.kubernetes.kubernetes:configured",
    hooks={
        "kubernetes": "streams.sources.kubernetes.hooks:KubernetesHook",
        "pubsub": "streams.sources.kubernetes.hooks:PubSub",
    },
    adopts={"kubernetes": "streams.sources.kubernetes.adopt:ADOPT"},
)
