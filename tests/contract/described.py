"""What asks a server all that its description allows, and holds the answers against it.

Its import takes a second, so tests import it when they run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.result import Ok

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
PATIENCE = 60  # seconds
schemathesis.serializer.alias("application/secevent+jwt", "text/plain")


def schema_of(description: dict[str, Any]) -> Any:
    """Give a description as what makes questions."""
    return schemathesis.openapi.from_dict(description)


def operations(description: dict[str, Any]) -> Iterator[Any]:
    """Yield each operation."""
    for result in schema_of(description).get_all_operations():
        assert isinstance(result, Ok)
        yield result.ok()


def questions(operation: Any) -> Any:
    """Give a strategy of right and wrong questions."""
    return operation.as_strategy(
        generation_mode=GenerationMode.POSITIVE
    ) | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)


def examples(count: int) -> settings:
    """Give the settings of hypothesis for so many questions an operation."""
    return settings(
        max_examples=count, database=None, deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def validated(case: Any, url: str, session: Any, *, headers: bool = False) -> int:
    """Ask, hold the answer against the description, and give its status."""
    checks = [*CHECKS, response_headers_conformance] if headers else CHECKS
    answer = case.call_and_validate(
        base_url=url, session=session, checks=checks, timeout=PATIENCE
    )
    return int(answer.status_code)
