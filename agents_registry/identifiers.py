"""Name credentials, principals and containers: one vocabulary for every system.

An identifier is ``kind:value``. Its class (credential, principal or container)
follows from the kind alone, never from a fact, so no sender can turn a person into
a token. Kinds that a mapping file declares are added to a copy of the vocabulary.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from agents_registry.secret_shapes import without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_VALUE_BYTES = 256
ATTRIBUTE = "attribute."  # begins the kinds of values that a subject is looked up by
LABEL = "label."  # begins the kinds of labels: a container, whatever follows
# What a cause may name instead of an identifier; the value is that of an owner.
OWNER_OF = "owner.of"
AUTHORITY_OF = "authority.of"


class NodeClass(Enum):
    """What a node is; decides how ``not_before`` and unknown identifiers act on it."""

    PRINCIPAL = "principal"
    CREDENTIAL = "credential"
    CONTAINER = "container"


class Identifier(NamedTuple):
    """One name of a node; its issuer never gives it to another node."""

    kind: str
    value: str

    def __str__(self) -> str:
        """``kind:value``, as people type it and logs show it."""
        return f"{self.kind}:{self.value}"

    @classmethod
    def parse(cls, text: str) -> Identifier:
        """Read ``kind:value``; the value may hold further colons.

        Raises:
            ValueError: the text has no kind or no value, or the value is too long.
        """
        kind, _, value = text.partition(":")
        if not kind or not value:
            shown = without_secrets(text)  # it may be one, without its kind
            message = f"{shown!r} is not an identifier: write it as kind:value"
            raise ValueError(message)
        return cls(kind, value).checked()

    def checked(self) -> Identifier:
        """Return self when the value is of a legal length.

        Raises:
            ValueError: the value is empty or longer than 256 bytes in UTF-8.
        """
        value = self.value
        length = len(value) if value.isascii() else len(value.encode())
        if not 0 < length <= MAX_VALUE_BYTES:
            message = f"{self.kind}: a value has 1 to {MAX_VALUE_BYTES} bytes"
            raise ValueError(message)
        return self


Vocabulary = dict[str, NodeClass]

_CREDENTIALS = """
    aws.access_key aws.login_profile
    vault.accessor vault.token_hmac vault.lease vault.lease_hmac
    vault.secret_id_accessor vault.secret_id_hmac
    jwt.jti secret session.id agent.instance
    okta.session okta.api_token okta.access_token okta.refresh_token
    okta.consent_grant
    entra.app_credential entra.session
    k8s.credential k8s.secret
    github.token github.hashed_token github.programmatic_access github.secret_alert
    github.deploy_key github.public_key
    gitlab.personal_access_token gitlab.project_access_token
    gitlab.group_access_token gitlab.deploy_token
    saml.assertion x509.serial keycloak.credential keycloak.subject_token
    openai.api_key anthropic.api_key
    auth0.refresh_token auth0.device_credential
"""
_PRINCIPALS = """
    aws.user aws.service aws.federated_user
    vault.entity
    okta.user entra.user entra.upn entra.service_principal
    k8s.service_account k8s.user github.user gitlab.user
    scim.user scim.agent keycloak.user keycloak.client keycloak.client_uuid
    openai.user openai.service_account anthropic.user anthropic.mcp_server
    litellm.user litellm.team auth0.user auth0.client
    jwt.sub agent.id person.id service_account.id team.id
"""
_CONTAINERS = """
    aws.role aws.account aws.identity_provider
    vault.path vault.role
    spiffe.id
    okta.app okta.user_sessions entra.application
    k8s.namespace k8s.pod k8s.pod_uid
    github.app github.oauth_app github.app_authorization github.installation
    scim.group keycloak.realm keycloak.grant keycloak.exchange
    keycloak.client_session
    openai.project auth0.grant spire.entry gitguardian.incident
    application.id device.id group.id org_unit.id tenant.id
"""

VOCABULARY: Mapping[str, NodeClass] = {
    kind: node_class
    for kinds, node_class in (
        (_CREDENTIALS, NodeClass.CREDENTIAL),
        (_PRINCIPALS, NodeClass.PRINCIPAL),
        (_CONTAINERS, NodeClass.CONTAINER),
    )
    for kind in kinds.split()
}
# Names that their owner may give again: ending one is a not_before, never a revoke.
REUSABLE_KINDS = frozenset({
    "aws.user", "aws.role", "vault.path", "spiffe.id", "entra.upn",
    "k8s.service_account", "k8s.namespace", "k8s.pod", "k8s.secret",
    "github.app_authorization", "keycloak.client", "keycloak.grant",
    "keycloak.exchange", "keycloak.client_session", "auth0.grant",
})  # fmt: skip


def class_of(kind: str, vocabulary: Mapping[str, NodeClass]) -> NodeClass | None:
    """Class of a kind, None where nobody declared it; labels need not be declared."""
    found = vocabulary.get(kind)
    if found is None and (kind.startswith(LABEL) or kind == OWNER_OF):
        return NodeClass.CONTAINER
    return found


def owner_in(name: Identifier) -> Identifier | None:
    """Owner of what is meant by ``owner.of:<identifier>``; None of another name.

    Raises:
        ValueError: no identifier follows.
    """
    return Identifier.parse(name.value) if name.kind == OWNER_OF else None


def extend(declared: Mapping[str, str]) -> Vocabulary:
    """Vocabulary with the kinds that a mapping file declares.

    Args:
        declared: kind to ``credential``, ``principal`` or ``container``.

    Raises:
        ValueError: a kind is declared with another class than it already has, or
            with a class that does not exist.
    """
    vocabulary = dict(VOCABULARY)
    for kind, name in declared.items():
        node_class = NodeClass(name)
        if kind.startswith(LABEL) and node_class is not NodeClass.CONTAINER:
            raise ValueError(f"{kind} is a label, it cannot be a {name}")
        if vocabulary.setdefault(kind, node_class) is not node_class:
            message = f"{kind} is a {vocabulary[kind].value}, it cannot be a {name}"
            raise ValueError(message)
    return vocabulary
