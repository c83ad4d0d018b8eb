"""The descriptor of this source."""

from __future__ import annotations

from typing import Final

from streams.sources.descriptor import Descriptor

NAME: Final = "cloudtrail"
DIGEST: Final = "digestStartTime"  # CloudTrail's digest files lie beside its logs


VENDOR = Descriptor(
    name=NAME,
    reader="streams.sources.aws.cloudtrail:CloudTrail",
    speaks=lambda body: (
        ("eventName" in body and "eventSource" in body) or DIGEST in body
    ),
    page="aws-cloudtrail.md",
    samples="tests/samples/aws",
    hooks={
        "eventbridge": "streams.sources.aws.hooks:EventBridge",
        "firehose": "streams.sources.aws.hooks:Firehose",
    },
    adopts={"aws-credential-report": "streams.sources.aws.adopt_api:ADOPT"},
)
