"""Find the events in a decoded document, whatever a vendor or a cloud put around them.

- Lists: CloudTrail's ``Records``, Azure's ``records``, Kubernetes' ``EventList``,
  Microsoft Graph's ``value``, Okta's ``data.events``, the pages (``data`` beside
  ``has_more``) of OpenAI and Anthropic, and CloudWatch Logs' ``logEvents``, whose
  messages are text: the way of EKS.
- Single events: EventBridge's ``detail``, ``CloudTrailEvent``, AKS's
  ``properties.log``, and what Google's Pub/Sub pushes, in base64: the way of GKE.

Sources: Amazon CloudWatch Logs user guide, "Log group-level subscription filters";
Google Cloud, "Receive messages from push subscriptions"; Azure, "Monitor AKS".
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any, Final

from streams.sources.fields import mapping, nested

_RULE_TEST: Final = {"test", "log"}  # Panther's rule tests, one a line
_GRAPH: Final = {"value", "validationTokens"}
# The names of lists, for a quick look: a line with none of them is an event.
LISTS: Final = (
    "Records", "records", "Events", "items", "value", "events", "data", "logEvents",
)  # fmt: skip


def list_of(value: dict[str, Any]) -> tuple[str, list[Any] | None]:
    """Give name and content of the list of events that a document carries.

    All names but the first three are common words: they count only where the rest of
    the document says whose they are.
    """
    for name in ("Records", "records", "Events"):
        if type(value.get(name)) is list:
            return name, value[name]
    name, inner = "", None
    if value.get("kind") == "EventList":  # the Kubernetes audit webhook backend
        name, inner = "items", value.get("items")
    elif "value" in value and all(  # Microsoft Graph: answers and notifications
        key in _GRAPH or key.startswith("@odata.") for key in value
    ):
        name, inner = "value", value["value"]
    elif "data" in value and str(value.get("eventType")).startswith("com.okta."):
        data = value["data"]
        name, inner = "events", data.get("events") if type(data) is dict else None
    elif "data" in value and "has_more" in value:
        name, inner = "data", value["data"]
    elif "logEvents" in value and "messageType" in value:
        name, inner = "logEvents", _messages(value)
    return name, inner if type(inner) is list else None


def _messages(value: dict[str, Any]) -> Any:
    """Give the messages of CloudWatch Logs; a check of the destination has none."""
    if value["messageType"] == "CONTROL_MESSAGE":
        return []
    inner = value["logEvents"]
    if type(inner) is not list:
        return None
    return [nested(mapping(one).get("message", one)) for one in inner]


def inside(value: dict[str, Any]) -> Any:
    """Give the event that a single document carries, as text or decoded."""
    if "detail-type" in value:  # EventBridge
        return value.get("detail")
    if "log" in value and value.keys() == _RULE_TEST:
        return value["log"]
    if "CloudTrailEvent" in value:  # aws cloudtrail lookup-events
        return value["CloudTrailEvent"]
    if "properties" in value and type(value["properties"]) is dict:  # AKS
        return value["properties"].get("log", value)
    if "message" in value and "subscription" in value:
        return _pushed(value)
    return value


def _pushed(value: dict[str, Any]) -> Any:
    """Give the data of a message of Pub/Sub."""
    message = value["message"]
    if type(message) is not dict or type(message.get("data")) is not str:
        return value
    try:
        return b64decode(message["data"], validate=True).decode()
    except ValueError:
        return None
