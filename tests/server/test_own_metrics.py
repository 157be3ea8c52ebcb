"""What ``/metrics`` shows is well formed, bounded, and exactly what the documentation lists; ``/readyz`` beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from tests.support import otlp_bodies as otlp
from tests.support.served import Served, serving

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
LINE = re.compile(r"^\| `(spanhouse_\w+)` \| (\w+) \|\s*(.*?)\s*\| (.+) \|$", re.MULTILINE)
UNITS = ("_bytes", "_seconds", "_items", "_rows", "_refused")
CLOSED = {"signal", "status", "reason", "table", "outcome", "kind", "door", "tenant", "le"}
PROTOBUF = {"content-type": "application/x-protobuf"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("metrics") / "data") as running:
        yield running


def families(http: httpx.Client) -> dict[str, Metric]:
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = list(text_string_to_metric_families(answer.text))
    assert len({each.name for each in found}) == len(found)
    return {each.name: each for each in found}


def exercised(served: Served, services: int, first: int = 0) -> None:
    """Send spans of so many services, agents and tenants, a bad one among them, and some requests that are refused."""
    for number in range(first, first + services):
        said = {"service.name": f"service-{number}"}
        good = otlp.span({"gen_ai.agent.name": f"agent-{number}", "tenant.id": f"t-{number}"}, number=number + 1)
        bad = otlp.span(number=number + 5_000, name="bad")
        bad.trace_id = b"short"
        body = otlp.traces(good, bad, resource=said).body
        assert served.http.post("/v1/traces", content=body, headers=PROTOBUF).status_code == 200
    served.http.post("/v1/traces", content=b"\xff", headers=PROTOBUF)
    served.http.post("/v1/logs", content=b"", headers={"content-type": "text/html"})
    served.drain()


def test_every_metric_says_what_it_is_by_the_conventions_of_prometheus(served: Served) -> None:
    exercised(served, 2)
    for name, family in families(served.http).items():
        assert re.fullmatch(r"spanhouse_(collector|server)_[a-z][a-z_]*", name)
        assert family.documentation.endswith("."), name
        assert family.type in {"counter", "gauge", "histogram"}, name
        assert all(each.name.endswith("_total") == (family.type == "counter") for each in family.samples), name
        if family.type in {"gauge", "histogram"}:
            assert name.endswith(UNITS), name
        for sample in family.samples:
            assert set(sample.labels) <= CLOSED, sample
            assert sample.value >= 0, sample


def test_more_services_agents_and_tenants_make_no_more_series(served: Served) -> None:
    exercised(served, 3)
    before = {name: len(family.samples) for name, family in families(served.http).items()}
    exercised(served, 30, first=100)
    assert {name: len(family.samples) for name, family in families(served.http).items()} == before
    assert sum(before.values()) < 300


def test_the_documentation_lists_every_metric_with_type_and_labels_and_no_other(served: Served) -> None:
    exercised(served, 1)
    told = {
        name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in LINE.findall(PAGE.read_text())
    }
    shown: dict[str, tuple[str, set[str]]] = {}
    for name, family in families(served.http).items():
        label_names = {label for sample in family.samples for label in sample.labels} - {"le"}
        shown[f"{name}_total" if family.type == "counter" else name] = family.type, label_names
    # A counter nobody has counted with yet shows no labels.
    silent = {name for name, (_, labels) in shown.items() if not labels and told.get(name, ("", set()))[1]}
    assert told.keys() == shown.keys()
    for name in told.keys() - silent:
        assert told[name] == shown[name], name
    for name in silent:
        assert told[name][0] == shown[name][0], name


def test_readyz_shows_the_figures_that_its_metrics_show(served: Served) -> None:
    served.drain()
    ready = served.http.get("/readyz").json()
    assert (ready["status"], ready["reasons"]) == ("ok", [])
    assert {"pending_items", "pending_seconds", "journal_bytes", "journal_limit", "store", "store_error"} <= set(ready)
    found = families(served.http)
    assert found["spanhouse_collector_pending_items"].samples[0].value == ready["pending_items"] == 0
    assert found["spanhouse_collector_journal_bytes"].samples[0].value == ready["journal_bytes"]
