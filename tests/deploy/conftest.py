"""The chart, rendered by Helm itself: its library is a dependency of development."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from attrs import field, frozen

from tests.deploy import helm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from helm_python.chart import Chart

    Render = Callable[[Mapping[str, Any]], "Rendered"]

MAKERS = ("StatefulSet", "DaemonSet", "Job", "Pod")


@frozen
class Rendered:
    """What Helm made of some values.

    Attributes:
        objects: for the API server.
        notes: what the person who installs is told.
        pods: what makes pods, by component.
    """

    objects: tuple[dict[str, Any], ...]
    notes: str
    pods: dict[str, dict[str, Any]] = field(init=False)

    @pods.default
    def _pods(self) -> dict[str, dict[str, Any]]:
        makers = [each for kind in MAKERS for each in self.of(kind)]
        label = "app.kubernetes.io/component"
        return {each["metadata"]["labels"][label]: each for each in makers}

    @property
    def roles(self) -> list[str]:
        """Name the components but for the Jobs that check settings."""
        return [name for name in self.pods if not name.startswith("check-")]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Give the objects of a kind."""
        return [each for each in self.objects if each["kind"] == kind]

    def pod(self, component: str) -> dict[str, Any]:
        """Give what a pod of a component is made of."""
        maker = self.pods[component]
        template = maker if maker["kind"] == "Pod" else maker["spec"]["template"]
        spec: dict[str, Any] = template["spec"]
        return spec

    def container(self, component: str) -> dict[str, Any]:
        """Give our container; others beside it come after."""
        container = self.pod(component)["containers"][0]
        assert isinstance(container, dict)
        return container

    def environment(self, component: str) -> dict[str, Any]:
        """Give its variables; of one from elsewhere, where from."""
        given = self.container(component).get("env", ())
        return {
            each["name"]: each.get("value", each.get("valueFrom")) for each in given
        }


@pytest.fixture(scope="session")
def chart_folder(repository: Path) -> Path:
    """Give the folder of the chart."""
    return repository / "deploy/helm/rescind"


@pytest.fixture(scope="module")
def chart(chart_folder: Path) -> Iterator[Chart]:
    """Give the chart, loaded by Helm."""
    with helm.load(chart_folder) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def render(chart: Chart) -> Render:
    """Give a function that renders the chart as a release `rel`."""

    def rendered(values: Mapping[str, Any]) -> Rendered:
        texts = chart.render(dict(values), name="rel", namespace="apps")
        objects = [
            each
            for name, text in texts.items()
            if name.endswith(".yaml")
            for each in yaml.load_all(text, yaml.CSafeLoader)
            if each is not None
        ]
        (notes,) = (text for name, text in texts.items() if name.endswith("NOTES.txt"))
        return Rendered(tuple(objects), notes)

    return rendered
