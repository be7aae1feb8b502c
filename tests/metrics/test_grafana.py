"""The dashboard of `deploy/`: it shows what `/metrics` tells, all of it, and Grafana can import it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.metrics.browsing import MetricsPort
from tests.support import ROOT

DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
VARIABLES = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
OF_THE_LIBRARY = "process_"


@pytest.fixture
def told(port: MetricsPort) -> dict[str, set[str]]:
    """The labels of each sample."""
    families = text_string_to_metric_families(port.get("/metrics"))
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


def expressions() -> Iterator[tuple[dict[str, Any], str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel, target["expr"]
    for variable in VARIABLES.values():
        if variable["type"] == "query":
            yield variable, variable["query"]["query"]


def names(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:chatfile|process)_\w+", expression))


def test_whatever_is_asked_for_is_there(told: dict[str, set[str]]) -> None:
    for _, expression in expressions():
        assert names(expression), expression
        assert names(expression) <= told.keys(), expression


def test_whatever_is_there_is_shown(told: dict[str, set[str]]) -> None:
    shown = set().union(*(names(expression) for _, expression in expressions()))
    assert {name for name in told if not name.startswith(OF_THE_LIBRARY)} <= shown


def test_labels_that_are_named_are_those_that_there_are(told: dict[str, set[str]]) -> None:
    for panel, expression in expressions():
        labels = set().union(*(told[name] for name in names(expression))) | {"job", "instance"}
        grouped = [each for group in re.findall(r"by \(([^)]*)\)", expression) for each in group.split(", ")]
        legends = [target["legendFormat"] for target in panel.get("targets", ()) if target["expr"] == expression]
        assert {*grouped, *re.findall(r"\{\{(\w+)\}\}", "".join(legends))} <= labels, expression


def test_counters_are_shown_by_their_increase_and_gauges_as_they_are(told: dict[str, set[str]]) -> None:
    for _, expression in expressions():
        for name in names(expression):
            increases = re.search(rf"\b(rate|increase)\({name}\{{[^}}]*\}}\[", expression)
            assert bool(increases) == name.endswith(("_total", "_bucket", "_sum", "_count")), expression


def test_it_has_what_an_import_needs() -> None:
    assert DASHBOARD["id"] is None, "Grafana gives it one"
    assert DASHBOARD["title"]
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", DASHBOARD["uid"])
    assert DASHBOARD["schemaVersion"] >= 36
    required = {(each["type"], each["id"]) for each in DASHBOARD["__requires"]}
    assert required == {
        ("grafana", "grafana"), ("datasource", "prometheus"), *(("panel", panel["type"]) for panel in PANELS)
    }  # fmt: skip
    assert VARIABLES["datasource"]["query"] == "prometheus"


def test_every_panel_asks_the_source_that_was_chosen_and_says_what_it_is() -> None:
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in PANELS:
        assert panel["datasource"] == source
        assert all(target["datasource"] == source for target in panel["targets"])
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(references) == len(set(references))
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_variables_that_are_used_are_there() -> None:
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD))) - {"__rate_interval", "__all"}
    assert used == VARIABLES.keys()


def test_no_panel_covers_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, "its grid has so many columns"
        taken |= cells
