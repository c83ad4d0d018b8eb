"""The vendors that may send hooks, by the names that the settings use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.http.secret_hooks import (
    Auth0Hook,
    EventBridge,
    Firehose,
    KubernetesHook,
    OktaHook,
    OpenBaoHook,
    PubSub,
)
from streams.http.signed_hooks import GitGuardianHook, Github, GithubSecrets, GraphHook

if TYPE_CHECKING:
    from streams.http.hook_vendor import Vendor

VENDORS: Final[dict[str, Vendor]] = {
    "auth0": Auth0Hook(),
    "eventbridge": EventBridge(),
    "firehose": Firehose(),
    "gitguardian": GitGuardianHook(),
    "github": Github(),
    "github_secrets": GithubSecrets(),
    "graph": GraphHook(),
    "kubernetes": KubernetesHook(),
    "okta": OktaHook(),
    "openbao": OpenBaoHook(),
    "pubsub": PubSub(),
}
