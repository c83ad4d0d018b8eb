"""Whatever a system answers, a listing is legal or refused with a word."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.outbound.answers import UnreadableAnswerError
from streams.sources.adopting.listing import Listing
from streams.sources.aws import adopt as aws
from streams.sources.github import adopt as github
from streams.sources.keycloak import adopt as keycloak
from streams.sources.kubernetes import adopt as kubernetes
from streams.sources.okta import adopt as okta
from streams.sources.openbao import adopt as openbao
from tests.unit import test_adopt_openbao as bao
from tests.unit import test_adopt_systems as samples
from tests.unit.adopting import by_name

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.property

JUNK: Any = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**22), 10**22), st.floats(),
    st.text(max_size=4), st.sampled_from(["x" * 300, "\u00e4" * 200, "9999-01-01"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)  # fmt: skip

READ: dict[str, tuple[Any, Callable[[Any], Listing]]] = {
    "openbao": (
        [bao.token("a", entity_id="e"), bao.token("b", orphan=False, entity_id="e")],
        lambda items: openbao.of_documents(items, openbao.VaultOptions()),
    ),
    "okta": (
        [samples.user("u"), samples.app("a") | {"grants": [{"scopeId": "s"}]},
         samples.TOKEN],
        okta.of_documents,
    ),
    "keycloak": (
        [samples.REALM | {"clients": samples.CLIENTS, "users": samples.PEOPLE[:2]},
         samples.SESSION | {"userId": "u-0"}],
        lambda items: keycloak.of_realm(items[0], "https://kc", sessions=items[1:]),
    ),
    "kubernetes": (
        [{"kind": "ServiceAccount"} | samples.metadata("a"),
         {"kind": "Secret", "type": kubernetes.TYPE}
         | samples.metadata("t", annotations=samples.HOLDER)],
        lambda items: kubernetes.of_documents(
            items, kubernetes.ClusterOptions("c", "i")
        ),
    ),
    "github": (
        [samples.PAT, {"installations": [samples.INSTALLED]}, samples.DEPLOY],
        github.of_documents,
    ),
    "aws": (
        {"AccessKeyMetadata": [samples.key("AKIA1")]},
        lambda listed: aws.of_files([samples.REPORT, json.dumps(listed).encode()]),
    ),
}  # fmt: skip


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Give the paths of all values inside; items of the outermost list stay."""
    inside: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    found = [(*above, key) for key, _ in inside if above or isinstance(value, dict)]
    for key, below in inside:
        found += places(below, (*above, key))
    return found


@pytest.mark.parametrize("name", READ)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_junk_in_any_place_is_refused_or_left_out(
    name: str, data: st.DataObject
) -> None:
    """No other error, and no entry that the server would refuse."""
    sample, read = READ[name]
    changed = copy.deepcopy(sample)
    for _ in range(data.draw(st.integers(0, 3))):
        found = places(changed)
        if not found:
            break
        *path, last = data.draw(st.sampled_from(found))
        holder = changed
        for step in path:
            holder = holder[step]
        if data.draw(st.booleans()):
            holder[last] = data.draw(JUNK)
        elif isinstance(holder, dict):
            del holder[last]
    try:
        listing = read(changed)
    except UnreadableAnswerError:
        return
    by_name(listing)
