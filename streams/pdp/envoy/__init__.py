"""Envoy's messages for external authorization, from their published descriptors.

They live in a pool of their own: a program that also loads the `envoy` packages of
somebody else gets no clash of names. See README.md for where they come from.
"""

from __future__ import annotations

from importlib import resources
from typing import Any, Final

from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    duration_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor_pool import DescriptorPool

_PACKAGE: Final = "envoy.service.auth.v3"
SERVICE: Final = f"{_PACKAGE}.Authorization"
_STANDARD: Final = (
    descriptor_pb2, any_pb2, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2,
)  # fmt: skip


def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    for module in _STANDARD:
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    data = resources.files(__name__).joinpath("external_auth.binpb").read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL: Final = _pool()


def _message(name: str) -> Any:
    found = _POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}")
    return message_factory.GetMessageClass(found)


CheckRequest: Final = _message("CheckRequest")
CheckResponse: Final = _message("CheckResponse")
