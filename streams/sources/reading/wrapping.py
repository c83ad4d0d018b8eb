"""Find the events in a decoded document, whatever a vendor or a cloud put around them.

- Lists: CloudTrail's ``Records``, Azure's ``records``, Kubernetes' ``EventList``,
  Microsoft Graph's ``value``, Okta's ``data.events``, the pages (``data`` beside
  ``has_more``) of OpenAI and Anthropic, LiteLLM's ``audit_logs``, and CloudWatch Logs'
  ``logEvents``, whose messages are text: the way of EKS; so are those of the answers
  of its API (``events``).
- Single events: EventBridge's ``detail``, ``CloudTrailEvent``, AKS's
  ``properties.log``, and what Google's Pub/Sub pushes, in base64: the way of GKE. What
  a container runtime writes (``log`` beside ``stream``), the journal of systemd
  (``MESSAGE``), and shippers of logs do, and what searches of Elasticsearch
  (``_source``) and Splunk (``result._raw``) give back.

Sources: Amazon CloudWatch Logs user guide, "Log group-level subscription filters";
Google Cloud, "Receive messages from push subscriptions"; Azure, "Monitor AKS".
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Any, Final

from streams.sources.reading.fields import mapping, nested

_RULE_TEST: Final = {"test", "log"}  # Panther's rule tests, one a line
# Where one event stands, by the name that tells whose envelope it is: EventBridge's,
# that of `aws cloudtrail lookup-events`, Elasticsearch's.
_CARRIED: Final = {
    "detail": "detail-type", "CloudTrailEvent": "CloudTrailEvent", "_source": "_index",
}  # fmt: skip
# Where a line that a program printed stands, and what stands beside it: a container
# runtime or Fluent Bit, the journal, Filebeat or Logstash, Vector, Loki, Splunk's
# collector.
_PRINTED: Final = (
    ("log", "stream"), ("MESSAGE", "__REALTIME_TIMESTAMP"), ("message", "@timestamp"),
    ("message", "source_type"), ("line", "labels"), ("event", "sourcetype"),
)  # fmt: skip
_ANSWERS: Final = ("searchedLogStreams", "nextForwardToken")  # of CloudWatch Logs
_GRAPH: Final = {"value", "validationTokens"}
# What the container runtimes of Kubernetes write before each line (CRI).
CONTAINER: Final = re.compile(
    rb"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) std(?:out|err) [FP] (?=\{)", re.ASCII
)
# What syslog writes before each message (RFC 3164, RFC 5424 and rsyslog's files).
SYSLOG: Final = re.compile(
    rb"(?:<\d{1,3}>(?:1 )?)?(?:[A-Z][a-z]{2} [ \d]\d [\d:]{8}|\d{4}-\d\d-\d\dT\S+) "
    rb"[^{\n]{1,256}(?=\{)",
    re.ASCII,
)
LISTS: Final = (
    "Records", "records", "Events", "items", "value", "events", "data", "logEvents",
    "audit_logs",
)  # fmt: skip
# A document with none of these names carries nothing: it is an event.
WRAPPING: Final = frozenset({
    *LISTS, *_CARRIED.values(), *(name for name, _ in _PRINTED), "properties", "result",
    "subscription",
})  # fmt: skip


def list_of(value: dict[str, Any]) -> tuple[str, list[Any] | None]:
    """Name and content of the list of events that a document carries.

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
    elif "audit_logs" in value and "total" in value:
        name, inner = "audit_logs", value["audit_logs"]
    elif "logEvents" in value and "messageType" in value:
        control = value["messageType"] == "CONTROL_MESSAGE"  # a check of the receiver
        name, inner = "logEvents", [] if control else _messages(value["logEvents"])
    elif "events" in value and any(each in value for each in _ANSWERS):
        name, inner = "events", _messages(value["events"])
    return name, inner if type(inner) is list else None


def _messages(inner: Any) -> Any:
    """Messages of CloudWatch Logs."""
    if type(inner) is not list:
        return None
    return [nested(mapping(one).get("message", one)) for one in inner]


def inside(value: dict[str, Any]) -> Any:
    """Event that a single document carries, as text or decoded."""
    for name, beside in _CARRIED.items():
        if beside in value:
            return value.get(name)
    if "log" in value and value.keys() == _RULE_TEST:
        return value["log"]
    for name, beside in _PRINTED:
        if name in value and beside in value:
            return _printed(value, name)
    if "properties" in value and type(value["properties"]) is dict:  # AKS
        return value["properties"].get("log", value)
    if "result" in value and type(value["result"]) is dict:  # Splunk
        return value["result"].get("_raw", value)
    if "message" in value and "subscription" in value:
        return _pushed(value)
    return value


def _printed(value: dict[str, Any], name: str) -> Any:
    """Line that a program printed; a line that is no JSON as it came."""
    printed = nested(value[name])
    return printed if type(printed) is dict else value


def _pushed(value: dict[str, Any]) -> Any:
    """Return the data of a message of Pub/Sub."""
    message = value["message"]
    if type(message) is not dict or type(message.get("data")) is not str:
        return value
    try:
        return b64decode(message["data"], validate=True).decode()
    except ValueError:
        return None
