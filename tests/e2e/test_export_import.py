"""Spans and audit events, exported as OTLP and taken in by an empty server, give the same figures there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.support.process import ServerProcess, pages
from tests.support.served import serving
from tests.support.served_runs import fill

from spanhouse_server.exports.writers import otlp_requests

pytestmark = pytest.mark.e2e

UNTIL = "2026-02-01T00:00:00Z"


def figures(server: ServerProcess) -> list[dict[str, Any]]:
    """Return every metric of the catalogue, whole and by agent; a gauge is of now, whenever that is."""
    names = ",".join(each["name"] for each in server.get("/api/v1/metrics/catalogue")["metrics"])
    asked: list[dict[str, str]] = [{}, {"by": "agent"}]
    points = [p for by in asked for p in server.get("/api/v1/metrics", name=names, until=UNTIL, **by)["points"]]
    return [{name: value for name, value in point.items() if name not in {"start", "end"}} for point in points]


def everything(server: ServerProcess) -> dict[str, Any]:
    """Return each run's JSON, steps and spans of those that are no fillers, and all audit events."""
    runs = {run["run_id"]: run for run in pages(server, "/api/v1/runs", "runs") if run["status"] == "ended"}
    closer = [id_ for id_, run in runs.items() if run["agent"] != "filler-agent"]
    return {
        "runs": runs,
        "steps": {id_: server.get(f"/api/v1/runs/{id_}/steps")["steps"] for id_ in closer},
        "spans": {id_: server.get(f"/api/v1/runs/{id_}/spans")["spans"] for id_ in closer},
        "audit": pages(server, "/api/v1/audit", "events"),
    }


def test_an_export_is_the_same_on_another_server(tmp_path: Path) -> None:
    """All metrics of the catalogue and every run that ended, with its steps, spans and audit events."""
    with serving(tmp_path / "filled") as filled:
        fill(filled)
    with ServerProcess(tmp_path / "filled") as server:
        server.drain()
        wanted, wanted_figures = everything(server), figures(server)
        for what in ("spans", "audit"):
            server.cli("export", what, "--format", "otlp", "--out", str(tmp_path / what))
        said = json.loads((tmp_path / "spans" / "manifest.json").read_text())
        assert any("attributes are texts" in note for note in said["notes"])
        assert server.cli("import", str(tmp_path / "spans"), str(tmp_path / "audit")), "a repeat changes nothing"
        assert everything(server) == wanted
    for kind, what in ((ExportTraceServiceRequest, "spans"), (ExportLogsServiceRequest, "audit")):
        [path] = (tmp_path / what).glob("*.otlp.pb")
        assert all(kind.FromString(body).ByteSize() for body in otlp_requests(path)), "valid to anybody"
    with ServerProcess(tmp_path / "empty") as server:
        server.cli("import", str(tmp_path / "spans"), str(tmp_path / "audit"))
        server.drain()
        found = everything(server)
        assert found["runs"].keys() == wanted["runs"].keys()
        for part in wanted:
            assert found[part] == wanted[part], part
        assert figures(server) == wanted_figures
