"""The real process takes OTLP over gRPC beside HTTP, and says plainly when it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.export_requests import logs, span_id, traces
from tests.support.grpc_server import export
from tests.support.metric_requests import every_kind
from tests.support.process import ServerProcess, free_port, run_cli

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, str]]:
    address = f"127.0.0.1:{free_port()}"
    with ServerProcess(tmp_path_factory.mktemp("grpc") / "data", grpc=address) as running:
        yield running, address


def test_what_is_sent_over_grpc_is_read_back_over_http(server: tuple[ServerProcess, str]) -> None:
    process, address = server
    assert export(address, traces(1, 3).SerializeToString()) == b""
    assert export(address, logs(["one"]).SerializeToString(), "logs") == b""
    assert export(address, every_kind().SerializeToString(), "metrics") == b""
    process.drain()
    (run,) = process.get("/api/v1/runs")["runs"]
    spans = process.get(f"/api/v1/runs/{run['run_id']}/spans")["spans"]
    assert {span["span_id"] for span in spans} == {span_id(1, n).hex() for n in range(3)}
    (point,) = process.get("/api/v1/points", name="tool.calls")["points"]
    assert (point["int_value"], point["temporality"], point["service_name"]) == (7, "cumulative", "shop")
    full, bare = process.get("/api/v1/points", name="duration", limit=2)["points"]
    assert {full["count"], bare["count"]} == {6, 2}
    (bare,) = process.get("/api/v1/points", name="duration", attribute="bare=true")["points"]
    assert (bare["count"], bare["sum"], bare["exemplars"]) == (2, None, [])


def test_a_port_that_is_taken_is_one_sentence_with_the_flag(server: tuple[ServerProcess, str], tmp_path: Path) -> None:
    _, address = server
    ended = run_cli("up", "--http", f"127.0.0.1:{free_port()}", "--data", str(tmp_path), "--grpc", address)
    assert ended.returncode == 2
    (sentence,) = ended.stderr.strip().splitlines()
    assert f"cannot take gRPC on {address} (Address already in use)" in sentence
    assert "--grpc 127.0.0.1:PORT" in sentence


def test_an_address_for_others_is_refused_for_grpc_as_for_http(tmp_path: Path) -> None:
    ended = run_cli("up", "--data", str(tmp_path), "--grpc", f"0.0.0.0:{free_port()}")
    assert ended.returncode == 2
    assert "can be reached from other machines" in ended.stderr
