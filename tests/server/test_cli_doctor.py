"""``spanhouse doctor`` and ``spanhouse reprocess`` as commands against a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result
from tests.support.export_requests import traces
from tests.support.process import free_port
from tests.support.served import Served, serving

from spanhouse_server.cli.commands import cli


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("doctor") / "data") as running:
        body = traces(1, 2).SerializeToString()
        running.http.post("/v1/traces", content=body, headers={"content-type": "application/x-protobuf"})
        running.drain()
        yield running


def run(served: Served, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--url", served.url])


def test_the_doctor_prints_a_line_a_check_and_ends_with_0_where_nothing_fails(served: Served) -> None:
    ended = run(served, "doctor")
    assert ended.exit_code == 0, ended.output
    checks = {line.split()[1] for line in ended.output.splitlines() if line.startswith(("ok", "warn"))}
    assert checks >= {"versions", "ready", "store", "schema", "journal", "ledger", "runs", "prices", "disk", "clock"}


def test_the_doctor_speaks_json(served: Served) -> None:
    findings = json.loads(run(served, "doctor", "--json").output)["findings"]
    assert {each["level"] for each in findings} <= {"ok", "warn"}
    assert {tuple(each) for each in findings} == {("check", "level", "said", "todo")}


def test_the_doctor_ends_with_1_where_nobody_answers() -> None:
    ended = CliRunner().invoke(cli, ["doctor", "--url", f"http://127.0.0.1:{free_port()}"])
    assert ended.exit_code == 1
    assert ended.output.startswith("fail  server")


def test_reprocess_waits_for_the_job_and_says_what_changed(served: Served) -> None:
    ended = run(served, "reprocess", "--since", "3650d", "--data", str(served.data))
    assert ended.exit_code == 0, ended.output
    assert ended.output == "done: 2 of 2 spans normalised again, 0 changed\n"
    job = json.loads(run(served, "reprocess", "--since", "1h", "--data", str(served.data), "--json").output)
    assert (job["state"], job["spans"]) == ("done", 0)


def test_reprocess_says_which_time_cannot_be_read(served: Served) -> None:
    ended = run(served, "reprocess", "--since", "yesterday", "--data", str(served.data))
    assert ended.exit_code == 1
    assert "since='yesterday'" in ended.output
