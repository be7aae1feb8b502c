"""`/metrics`: what it tells is what happened, in names that Prometheus' conventions ask for, and of nobody by name."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from twisted.python.failure import Failure

from chatfile.cluster.answers import AnswerHistogram
from chatfile.metrics import EngineSource
from chatfile.server.activity import REFUSALS_COUNTED, LeaveReason
from tests.metrics.browsing import MetricsPort
from tests.support.documents import DOCUMENTS
from tests.support.serving import NOON, Server
from tests.support.transports import FullTransport

UNITS = ("seconds", "bytes")
SERVER = DOCUMENTS["docs/server.md"]
LANES = "lanes are `listings`, `trees`, `files` and `digests`"
ABBREVIATED = re.compile(r"_(s|ms|sec|secs|msec|milliseconds|minutes|kb|mb|b|kib|percent)(_|$)")


def families(port: MetricsPort) -> Iterator[tuple[str, str, str, list[Sample]]]:
    """Of each family its name, its type, its help and its samples."""
    for family in text_string_to_metric_families(port.get("/metrics")):
        yield family.name, family.type, family.documentation, family.samples


def values(port: MetricsPort) -> dict[str, float]:
    """Each sample by its name and the value of its label."""
    return {
        " ".join([sample.name.removeprefix("chatfile_"), *sample.labels.values()]): sample.value
        for *_, samples in families(port)
        for sample in samples
    }


def changes(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    ours = (name for name in after if not name.startswith("process_") and "reactor" not in name)
    return {name: after[name] - before[name] for name in ours if after[name] != before[name]}


# --- what it tells ---


def test_an_idle_server_tells_of_its_seats(port: MetricsPort) -> None:
    told = values(port)
    assert (told["seats_limit"], told["seats_taken"], told["places_limit"]) == (2, 0, 1)
    assert told["build_info 1.2.3"] == 1
    assert told["draining"] == 0


def test_clients_that_come_wait_and_go_are_counted(server: Server, port: MetricsPort) -> None:
    before = values(port)
    first, _ = server.greeted(), server.greeted()
    third, fourth = server.greeted(), server.greeted()
    third.says(b"wait")
    full = changes(before, values(port))
    assert full == {
        "admitted_total": 2, "seats_taken": 2, "refused_total full": 2, "places_taken": 1, "connections_unseated": 1,
    }  # fmt: skip
    first.says(b"exit")
    first.vanishes()
    fourth.vanishes()
    assert changes(before, values(port)) == {
        "admitted_total": 3, "seats_taken": 2, "refused_total full": 2, "left_total exit": 1,
    }  # fmt: skip


def test_bytes_count_while_their_client_is_here_and_once_it_has_left(server: Server, port: MetricsPort) -> None:
    before = values(port)
    peer = server.greeted()
    peer.sends(b"get a\nget a\nresume 400 a\n")
    here = changes(before, values(port))
    peer.vanishes()
    gone = changes(before, values(port))
    assert here["sent_bytes_total"] == gone["sent_bytes_total"] == 2600
    assert here["sent_files_total"] == gone["sent_files_total"] == 3
    assert gone["left_total closed"] == 1


def test_a_transfer_under_way_is_told_of_with_what_was_sent_so_far(server: Server, port: MetricsPort) -> None:
    server.put("large", b"x" * 300_000)
    peer = server.connect(FullTransport(100_000))
    peer.sends(b"get large\n")
    amid = values(port)
    assert amid["transfers_in_progress"] == 1
    assert 0 < amid["sent_bytes_total"] < 300_000
    peer.vanishes()
    told = values(port)
    assert told["transfers_in_progress"] == 0
    assert (told["sent_bytes_total"], told["sent_files_total"]) == (amid["sent_bytes_total"], 0)


def test_the_silent_are_counted_by_why_they_left(server: Server, port: MetricsPort) -> None:
    server.greeted()
    server.greeted().sends(b"half a line")
    server.pass_time(301)
    told = values(port)
    assert (told["left_total idle"], told["left_total unfinished_line"]) == (0, 0), "they linger in their close"
    for peer in server.peers:
        peer.vanishes()
    told = values(port)
    assert (told["left_total idle"], told["left_total unfinished_line"]) == (1, 1)


def test_what_has_no_word_of_its_own_is_counted_as_something_else(server: Server, port: MetricsPort) -> None:
    events = server.factory._events
    events.refused("127.0.0.1:1", "127.0.0.1", "for a reason", "of a stranger")
    events.refused("127.0.0.1:1", "127.0.0.1", "for another")
    assert values(port)["refused_total other"] == 2


def test_what_is_the_fault_of_the_server_is_told(server: Server, port: MetricsPort, logged_errors: list[str]) -> None:
    server.greeted()
    (seat,) = server.factory._events.totals.seats
    server.factory._events.cut(seat, "it got shorter")
    server.factory._events.failed(seat, Failure(ValueError()))
    told = values(port)
    assert (told["transfers_cut_total"], told["faults_total"]) == (1, 1)
    assert "see the log" in port.get("/")
    logged_errors.clear()


def test_a_drain_is_told(port: MetricsPort) -> None:
    port.service.is_draining = True
    assert values(port)["draining"] == 1


def test_a_server_without_a_line_tells_of_none(server: Server) -> None:
    server.admission.places = 0
    assert not any("places" in name for name in values(MetricsPort(server)))


def test_all_kinds_are_there_before_the_first_of_them_comes(port: MetricsPort) -> None:
    told = values(port)
    assert {name.split()[1] for name in told if name.startswith("refused_total")} == set(REFUSALS_COUNTED)
    assert {name.split()[1] for name in told if name.startswith("left_total")} == {
        reason.name.lower() for reason in LeaveReason
    }


def test_a_node_tells_of_its_engine_and_its_certificate(port: MetricsPort) -> None:
    told = values(port)
    assert (told["engine_up"], told["engine_reconnects_total"]) == (0, 0)
    assert told["certificate_expiry_timestamp_seconds"] == NOON
    answers = AnswerHistogram()
    for seconds in (0.0001, 0.003, 0.003, 7.0):
        answers.count(seconds)
    (histogram,) = (each for each in EngineSource(port.engine, answers).families() if each.type == "histogram")
    steps = {sample.labels["le"]: sample.value for sample in histogram.samples if "le" in sample.labels}
    assert (steps["0.0005"], steps["0.0025"], steps["0.005"], steps["1.0"], steps["+Inf"]) == (1, 1, 3, 3, 4)
    assert sum(sample.value for sample in histogram.samples if sample.name.endswith("_sum")) == pytest.approx(7.0061)
    page = port.get("/")
    assert re.search(r"Engine at engine:6379<.*?>away<", page)
    assert "2026-11-22" in page


# --- how it tells ---


def test_names_are_those_of_the_conventions(port: MetricsPort) -> None:
    """As `promtool check metrics` has them: https://prometheus.io/docs/practices/naming/."""
    for name, kind, meaning, samples in families(port):
        assert meaning, name
        assert samples, name
        assert not ABBREVIATED.search(name), name
        assert re.fullmatch(r"(chatfile|process)(_[a-z]+)+", name), name
        assert not name.endswith(("_gauge", "_counter", "_count", "_sum", "_bucket", "_info_info")), name
        assert all(sample.name == name + "_total" for sample in samples) == (kind == "counter"), name
        if any(unit in name for unit in UNITS):
            assert name.endswith(UNITS), name


def test_no_label_is_what_a_stranger_has_said(server: Server, port: MetricsPort) -> None:
    peer = server.greeted()
    peer.sends(b"get a\nget secret\nmessage\n")
    server.greeted().sends(b"\xff\n")
    text = port.get("/metrics")
    for said in ("Client0", "127.0.0.1", "40001", "secret", "message"):
        assert said not in text
    labels = {label for *_, samples in families(port) for sample in samples for label in sample.labels}
    assert labels == {"code", "reason", "lane", "version", "le"}


def test_the_documentation_tells_of_every_metric_and_of_each_value_of_its_label(port: MetricsPort) -> None:
    for name in values(port):
        metric, _, label = name.partition(" ")
        metric, is_step, _ = metric.partition("_bucket")
        metric = re.sub("_(sum|count)$", "", metric)
        if metric.startswith("process_"):
            continue
        (row,) = (row for row in SERVER.splitlines() if re.match(rf"\|.*`chatfile_{metric}(\{{\w+\}})?`.* \|", row))
        assert not label or is_step or metric.endswith("_info") or f"`{label}`" in row or f"`{label}`" in LANES, name
