"""The descriptor of this source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streams.sources.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Mapping

DIGEST: Final = "digestStartTime"  # CloudTrail's digest files lie beside its logs


def _speaks(body: Mapping[str, Any]) -> bool:
    return ("eventName" in body and "eventSource" in body) or DIGEST in body


VENDOR = Descriptor(
    name="cloudtrail",
    reader="streams.sources.aws.cloudtrail:CloudTrail",
    speaks=_speaks,
    page="aws-cloudtrail.md",
    samples="tests/samples/aws",
    hooks={
        "eventbridge": "streams.sources.aws.hooks:EventBridge",
        "firehose": "streams.sources.aws.hooks:Firehose",
    },
    adopts={"aws-credential-report": "streams.sources.aws.adopt_api:ADOPT"},
)
