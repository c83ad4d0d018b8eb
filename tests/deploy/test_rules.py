"""Alert rules, their runbooks and the dashboard speak of what there is."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
import yaml

from streams.cli.main import app
from tests.deploy.promql import KNOWN, VALUES, faults, labels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.deploy.conftest import Rendered

    Render = Callable[[Mapping[str, Any]], Rendered]

pytestmark = pytest.mark.contract

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/rescind"
RUNBOOKS = ROOT / "docs/runbooks"
GROUPS = yaml.load((CHART / "files/rules.yaml").read_text("utf-8"), yaml.CSafeLoader)[
    "groups"
]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {
    rule["record"]: labels_of(rule["expr"]) for rule in RULES if "record" in rule
}
PROGRAM = typer.main.get_command(app)
DASHBOARDS = sorted((CHART / "dashboards").glob("*.json"))


def queries(dashboard: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the title of each panel and what it asks."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def test_rules_ask_for_metrics_that_there_are() -> None:
    """Names, labels and values of labels; the parser takes every expression."""
    for rule in RULES:
        assert [] == faults(rule["expr"], RECORDED), rule


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("sum(rescind_gone)", "no metric rescind_gone"),
        ('rescind_closures_total{stat="partial"}', "has no label stat"),
        ('rescind_closures_total{state="done"}', "state is never done"),
        ("sum by (realm) (rescind_closures_total)", "no label realm"),
        ("rate(rescind_closures_total[5m]", "unclosed"),
        ("rescind_closures", "no metric rescind_closures"),
        ('rescind_propagation_seconds_bucket{le="1"}', "le is never 1"),
        ("rescind_lag_records > 0 and rescind_waiting == 0", "notify, serve do not"),
    ],
)
def test_what_is_wrong_with_a_query_is_seen(wrong: str, says: str) -> None:
    """The tests around this one can fail."""
    (fault,) = faults(wrong, RECORDED)
    assert says in fault


def test_each_role_is_missed_by_a_rule_that_it_need_not_tell() -> None:
    """A process that is down tells no series: some rule fires for want of it."""
    missed = [
        re.findall(r"[\w-]+", roles)
        for rule in ALERTS.values()
        for wanted in re.findall(r"unless on(.*)", rule["expr"], re.DOTALL)
        for roles in re.findall(r'role=~?"([^"]*)"', wanted)
    ]
    # Nobody is woken up for a chart, or for pages: whoever wants them sees that.
    awaited = VALUES["role"] - {"console", "insights"}
    assert {role for roles in missed for role in roles} == awaited


def test_every_alert_is_complete_and_proven() -> None:
    """Severity, texts, a runbook of its name, and a unit test for promtool."""
    proofs = yaml.safe_load((ROOT / "deploy/prometheus/rules_test.yaml").read_text())
    assert sorted(ALERTS) == sorted(each["name"] for each in proofs["tests"])
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert f"docs/runbooks/{name}.md" == rule["annotations"]["runbook_url"]


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    """One to one, and the list of them has all, with their severities."""
    names = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert ALERTS.keys() == names
    rows = re.findall(
        r"^\| \[(\w+)\]\(\1\.md\) \| (\w+) \| (.*) \|$",
        (RUNBOOKS / "README.md").read_text("utf-8"),
        re.MULTILINE,
    )
    told = {
        name: (rule["labels"]["severity"], rule["annotations"]["summary"])
        for name, rule in ALERTS.items()
    }
    assert told == {name: (severity, says) for name, severity, says in rows}


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_a_runbook_gives_three_commands_that_exist(name: str) -> None:
    """What it means, three commands of ours with their options, and when it is over."""
    text = (RUNBOOKS / f"{name}.md").read_text("utf-8")
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    assert [name, "What it means", "First", "Over when"] == headings
    (block,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = block.splitlines()
    assert 3 == len(lines)
    said = [line.partition("#")[0] for line in lines]
    for command in [*said, *re.findall(r"`(rescind [^`]+)`", text)]:
        assert exists(command), command
    for other in re.findall(r"\]\((\w+\.md)\)", text):
        assert (RUNBOOKS / other).exists()


def exists(line: str) -> bool:
    """Tell whether a command line names a command and options of it."""
    program, *words = shlex.split(line)
    command: Any = PROGRAM
    while words and getattr(command, "commands", None):
        command = command.commands.get(words.pop(0))
        if command is None:
            return False
    options = {name for each in command.params for name in each.opts} | {"--help"}
    return program == "rescind" and all(
        word in options for word in words if word.startswith("--")
    )


def test_a_command_that_is_not_there_is_seen() -> None:
    """The test above can fail."""
    assert exists("rescind guards --remove NAME")
    assert not exists("rescind guards --drop NAME")
    assert not exists("rescind doctor")
    assert not exists("rescind alerts mend")


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards_ask_for_metrics_that_there_are(path: Path) -> None:
    """Each panel says what it shows; all of it can be chosen by namespace."""
    dashboard = json.loads(path.read_text("utf-8"))
    asked = list(queries(dashboard))
    for title, query in asked:
        assert [] == faults(query, RECORDED), title
        assert 'namespace=~"$namespace"' in query
    panels = [each for each in dashboard["panels"] if each["type"] != "row"]
    assert all(each["description"] for each in panels)
    assert len({each["id"] for each in dashboard["panels"]}) == len(dashboard["panels"])


def test_the_dashboard_or_a_rule_uses_what_is_told() -> None:
    """A metric that nobody looks at is told for nothing; the others are named here."""
    text = "".join(path.read_text("utf-8") for path in DASHBOARDS)
    text += "".join(rule["expr"] for rule in RULES)
    unused = {name for name in KNOWN if name not in text}
    assert unused == {
        "rescind_facts_applied",
        "rescind_guards",
        "rescind_pdp_reports_total",
        "rescind_propagation_seconds_sum",
    }


def test_the_chart_brings_the_same_rules(render: Render) -> None:
    """Links lead to where the runbooks are served; templates of alerts stay whole."""
    values = yaml.safe_load((CHART / "ci/keda-values.yaml").read_text("utf-8"))
    extra = {"name": "own", "rules": []}
    values["metrics"]["prometheusRule"]["extraGroups"] = [extra]
    (made,) = render(values).of("PrometheusRule")
    *groups, last = made["spec"]["groups"]
    assert extra == last
    text = json.dumps(GROUPS).replace(
        "docs/runbooks", "https://runbooks.example/rescind"
    )
    assert json.loads(text) == groups


def test_the_chart_brings_the_dashboards_whole(render: Render) -> None:
    """As a ConfigMap for Grafana's sidecar, in the namespace that is wanted."""
    values = yaml.safe_load((CHART / "ci/keda-values.yaml").read_text("utf-8"))
    found = {
        name: text
        for each in render(values).of("ConfigMap")
        if each["metadata"]["labels"].get("grafana_dashboard") == "1"
        for name, text in each["data"].items()
        if each["metadata"]["namespace"] == "monitoring"
    }
    assert found == {path.name: path.read_text("utf-8") for path in DASHBOARDS}
    assert not any(
        each["metadata"]["labels"].get("grafana_dashboard")
        for each in render({}).of("ConfigMap")
    )
