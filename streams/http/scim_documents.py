"""What this SCIM service provider says of itself (RFC 7643 sections 5 to 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from streams.http.scim_resources import ResourceType

_CORE: Final = "urn:ietf:params:scim:schemas:core:2.0"
MOST: Final = 200  # resources of a page


def service_provider_config(base: str) -> dict[str, Any]:
    """Supported features: PATCH and filters."""
    no = {"supported": False}
    return {
        "schemas": [f"{_CORE}:ServiceProviderConfig"],
        "patch": {"supported": True},
        "bulk": no | {"maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": MOST},
        "changePassword": no,
        "sort": no,
        "etag": no,
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "A token of the settings with the role ingest",
                "primary": True,
            }
        ],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": f"{base}/ServiceProviderConfig",
        },
    }


def resource_type(kind: ResourceType, base: str) -> dict[str, Any]:
    """Return the description of a resource type."""
    return {
        "schemas": [f"{_CORE}:ResourceType"],
        "id": kind.name,
        "name": kind.name,
        "endpoint": f"/{kind.path}",
        "schema": kind.schema,
        "meta": {
            "resourceType": "ResourceType",
            "location": f"{base}/ResourceTypes/{kind.name}",
        },
    }


def schema(kind: ResourceType, base: str) -> dict[str, Any]:
    """Attributes that are kept."""
    return {
        "schemas": [f"{_CORE}:Schema"],
        "id": kind.schema,
        "name": kind.name,
        "attributes": [
            _attribute(kind.unique, "string", required=True, uniqueness="server"),
            _attribute("active", "boolean"),
        ],
        "meta": {
            "resourceType": "Schema", "location": f"{base}/Schemas/{kind.schema}",
        },
    }  # fmt: skip


def _attribute(
    name: str, form: str, *, required: bool = False, uniqueness: str = "none"
) -> dict[str, Any]:
    return {
        "name": name,
        "type": form,
        "multiValued": False,
        "required": required,
        "caseExact": False,
        "mutability": "readWrite",
        "returned": "default",
        "uniqueness": uniqueness,
    }


def list_response(
    resources: list[dict[str, Any]], total: int, start: int = 1
) -> dict[str, Any]:
    """Page of resources (RFC 7644 section 3.4.2)."""
    return {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": len(resources),
        "Resources": resources,
    }
