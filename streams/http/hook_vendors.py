"""The vendors that may send hooks, by the names that the settings use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.http.secret_hooks import (
    Auth0,
    EventBridge,
    Firehose,
    Kubernetes,
    Okta,
    OpenBao,
    PubSub,
)
from streams.http.signed_hooks import GitGuardian, Github, GithubSecrets, Graph

if TYPE_CHECKING:
    from streams.http.hook_vendor import Vendor

VENDORS: Final[dict[str, Vendor]] = {
    "auth0": Auth0(),
    "eventbridge": EventBridge(),
    "firehose": Firehose(),
    "gitguardian": GitGuardian(),
    "github": Github(),
    "github_secrets": GithubSecrets(),
    "graph": Graph(),
    "kubernetes": Kubernetes(),
    "okta": Okta(),
    "openbao": OpenBao(),
    "pubsub": PubSub(),
}
