"""Bulk exports on a real server: nothing missing, nothing twice, wherever they are broken off."""

from __future__ import annotations

import csv
import json
import os
import random
import threading
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from tests.support.served import Served

from spanhouse_server.cli.commands import cli
from spanhouse_server.exports import job
from spanhouse_server.exports.manifest import Manifest, problems
from spanhouse_storage.reads import bulk

KEYS = {
    "runs": ("tenant", "run_id"),
    "spans": ("tenant", "trace_id", "span_id"),
    "steps": ("tenant", "run_id", "seq"),
    "audit": ("tenant", "stream", "seq"),
}


class Killed(BaseException):
    """Stands for the end of the process: nobody catches it."""


def run(served: Served, *arguments: str, code: int = 0) -> Result:
    """Run an export command to its end."""
    ended = CliRunner().invoke(cli, ["export", *arguments, "--url", served.url])
    assert ended.exit_code == code, (ended.output, ended.stderr)
    return ended


def rows_of(directory: Path) -> list[dict[str, Any]]:
    """Return all rows of an export's files, in their order."""
    rows: list[dict[str, Any]] = []
    for path in sorted(directory.glob("*-*")):
        if path.suffix == ".parquet":
            rows += pq.read_table(path).to_pylist()
        elif path.suffix == ".jsonl":
            rows += [orjson.loads(line) for line in path.read_bytes().splitlines()]
        else:
            with path.open(newline="", encoding="utf-8") as file:
                rows += list(csv.DictReader(file))
    return rows


def expected(served: Served, what: str) -> set[tuple[Any, ...]]:
    """Return the keys that an export must have."""
    store = served.parts.store
    table = "audit_events" if what == "audit" else what
    condition = {"runs": "type != 'call'", "steps": "kind != 'usage' AND run_type != 'call'"}.get(what, "1")
    rows = store.query(f"SELECT {', '.join(KEYS[what])} FROM {table} FINAL WHERE {condition}").to_pylist()
    return {tuple(row[name] for name in KEYS[what]) for row in rows}


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("what", list(KEYS))
def test_an_export_has_each_row_once(served: Served, what: str, kind: str, tmp_path: Path) -> None:
    """Whatever the format, with a manifest that agrees."""
    run(served, what, "--format", kind, "--out", str(tmp_path / "out"))
    found = [tuple(row[name] for name in KEYS[what]) for row in rows_of(tmp_path / "out")]
    wanted = {tuple(map(str, key)) for key in expected(served, what)}
    assert len(found) == len(set(found))
    assert {tuple(map(str, key)) for key in found} == wanted
    manifest = Manifest.read(tmp_path / "out")
    assert (manifest.complete, manifest.rows, manifest.expected, manifest.changed) == (True, len(found), len(found), 0)
    assert problems(tmp_path / "out") == []


def test_runs_in_a_file_are_the_runs_of_the_api(served: Served, tmp_path: Path) -> None:
    """Value by value in JSON lines."""
    run(served, "runs", "--format", "jsonl", "--out", str(tmp_path / "out"))
    wanted = {row["run_id"]: row for row in served.pages("/api/v1/runs", "runs")}
    for row in rows_of(tmp_path / "out"):
        mine = {name: row[name] for name in wanted[row["run_id"]] if name not in {"budget", "started_at", "ended_at"}}
        assert mine == {name: wanted[row["run_id"]][name] for name in mine}


def test_filters_narrow_and_are_written_down(served: Served, tmp_path: Path) -> None:
    """Runs, the traces of runs, and their steps."""
    for what in ("runs", "spans", "steps"):
        run(served, what, "--agent", "filler-agent", "--out", str(tmp_path / what))
        manifest = Manifest.read(tmp_path / what)
        assert manifest.filters["agent"] == ["filler-agent"]
        assert 0 < manifest.rows < len(expected(served, what))
    traces = {row["trace_id"] for row in rows_of(tmp_path / "runs")}
    assert {row["trace_id"] for row in rows_of(tmp_path / "spans")} == traces


CONDITION = 'agent = "filler-agent" and model_calls > 0'


def test_a_condition_of_the_filter_language_narrows_every_export_of_runs(served: Served, tmp_path: Path) -> None:
    """On the command line and over HTTP the same rows as the list has; the manifest says what was asked."""
    wanted = {row["run_id"] for row in served.pages("/api/v1/runs", "runs", filter=CONDITION)}
    assert 0 < len(wanted) < len(expected(served, "runs"))
    for what in ("runs", "spans", "steps"):
        run(served, what, "--filter", CONDITION, "--format", "jsonl", "--out", str(tmp_path / what))
        assert Manifest.read(tmp_path / what).filters == {"filter": CONDITION} | (
            {"content": True} if what == "spans" else {}
        )
        with served.client as client, client.export(what, filter=CONDITION) as export:
            streamed = [row for batch in export for row in batch.rows.to_pylist()]
        found = rows_of(tmp_path / what)
        assert [tuple(row[name] for name in KEYS[what]) for row in found] == [
            tuple(row[name] for name in KEYS[what]) for row in streamed
        ]
        key = "trace_id" if what == "spans" else "run_id"
        mine = {row["trace_id" if what == "spans" else "run_id"] for row in rows_of(tmp_path / "runs")}
        assert {row[key] for row in found} == mine
    assert mine == wanted
    run(served, "runs", "--filter", CONDITION, "--out", str(tmp_path / "runs.csv"))
    with (tmp_path / "runs.csv").open(newline="", encoding="utf-8") as file:
        assert {row["run_id"] for row in csv.DictReader(file)} == wanted


@pytest.mark.parametrize(
    ("kind", "condition", "title"),
    [
        ("runs", "model_cals > 0", "model_calls"),
        ("spans", "agent =", "filter"),
        ("audit", CONDITION, "audit cannot be filtered by 'filter'"),
    ],
)
def test_a_condition_that_means_nothing_is_refused_before_a_row_is_sent(
    served: Served, kind: str, condition: str, title: str
) -> None:
    """Left aside it would export everything in silence."""
    said = served.refused(f"/api/v1/export/{kind}", 400, filter=condition)
    assert title in json.dumps(said)


def test_no_cell_of_a_csv_is_a_formula(served: Served, tmp_path: Path) -> None:
    """What an agent wrote must not run in the reader's spreadsheet."""
    run(served, "spans", "--format", "csv", "--out", str(tmp_path / "out"))
    cells = [cell for row in rows_of(tmp_path / "out") for cell in row.values()]
    assert not [cell for cell in cells if cell[:1] in {"=", "+", "@", "\t", "\r"}]


@pytest.mark.parametrize("seed", range(6))
def test_an_export_killed_anywhere_goes_on_where_it_was(
    served: Served, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No row twice, none missing, however often it is killed and in the middle of what."""
    monkeypatch.setattr(bulk, "CHUNK_ROWS", 7)
    what = list(KEYS)[seed % len(KEYS)]
    out, generator, exporting = tmp_path / "out", random.Random(seed), threading.current_thread()
    arguments = [what, "--format", "jsonl", "--rows-per-file", "20", "--out", str(out)]
    kills = 0
    while True:
        left = generator.randrange(1, 12)

        def dies(real: Any, *given: Any, **named: Any) -> Any:
            nonlocal left
            # The server lives in this process too, and is not the one that is killed.
            left -= threading.current_thread() is exporting
            if left == 0 and threading.current_thread() is exporting:
                raise Killed
            return real(*given, **named)

        with monkeypatch.context() as patch:
            for owner, name in ((job._Part, "write"), (Manifest, "write"), (Path, "replace"), (os, "fsync")):
                real = getattr(owner, name)
                patch.setattr(owner, name, lambda *a, real=real, **k: dies(real, *a, **k))
            again = ["--resume"] if (out / "manifest.json").exists() else []
            try:
                assert CliRunner().invoke(cli, ["export", *arguments, *again, "--url", served.url]).exit_code == 0
                break
            except Killed:
                kills += 1
        assert kills < 200
    found = [tuple(row[name] for name in KEYS[what]) for row in rows_of(out)]
    assert kills > 0
    assert len(found) == len(set(found))
    assert set(found) == expected(served, what)
    assert problems(out) == []


def test_rows_received_after_the_start_are_left_out(served: Served, tmp_path: Path) -> None:
    """As of a time before everything there is nothing; the boundary is in the manifest."""
    manifest, export = job.begin(
        served.client, job.Wanted("runs", "jsonl", {"as_of": "2001-01-01T00:00:00Z"}), tmp_path / "out"
    )
    done = job.run(manifest, export, tmp_path / "out")
    assert (done.rows, done.complete, done.as_of) == (0, True, "2001-01-01T00:00:00.000000Z")


def test_a_changed_file_is_found(served: Served, tmp_path: Path) -> None:
    """Missing, changed, cut, and files that do not belong."""
    out = tmp_path / "out"
    run(served, "runs", "--format", "jsonl", "--rows-per-file", "20", "--out", str(out))
    assert "all as the manifest says" in CliRunner().invoke(cli, ["export", "verify", str(out)]).output
    [path] = [each for each in out.iterdir() if each.suffix == ".jsonl"][:1]
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"filler", b"filled", 1) if b"filler" in whole else b"x" + whole[1:])
    (out / "stranger").touch()
    ended = CliRunner().invoke(cli, ["export", "verify", str(out)])
    assert ended.exit_code == 1
    assert "checksum is another" in ended.stderr
    assert "stranger is not in the manifest" in ended.stderr
    path.unlink()
    assert any("is missing" in problem for problem in problems(out))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["runs", "--format", "otlp"], "export spans or audit"),
        (["steps", "--format", "json"], "use --format jsonl"),
        (["spans", "--resume"], "holds no manifest.json"),
    ],
)
def test_what_cannot_be_done_is_said(served: Served, arguments: list[str], said: str, tmp_path: Path) -> None:
    """Exit code 2, one sentence, nothing written."""
    ended = run(served, *arguments, "--out", str(tmp_path / "out"), code=2)
    assert said in ended.stderr
    assert not (tmp_path / "out").exists()


def test_a_directory_that_holds_something_is_not_written_into(served: Served, tmp_path: Path) -> None:
    """Neither another's files nor an export that is there, nor another export with --resume."""
    out = tmp_path / "out"
    run(served, "runs", "--out", str(out))
    assert "go on with --resume" in run(served, "runs", "--out", str(out), code=2).stderr
    assert "not 'steps'" in run(served, "steps", "--resume", "--out", str(out), code=2).stderr
    assert "already" not in run(served, "runs", "--resume", "--out", str(out)).output
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    assert "empty directory" in run(served, "runs", "--out", str(tmp_path / "full"), code=2).stderr


def test_the_schema_is_written_down(served: Served, tmp_path: Path) -> None:
    """Each column with its type, as in the files."""
    run(served, "steps", "--out", str(tmp_path / "out"))
    said = json.loads((tmp_path / "out" / "manifest.json").read_text())
    [path] = (tmp_path / "out").glob("*.parquet")
    assert [each["name"] for each in said["schema"]] == pq.read_schema(path).names
    assert said["server"]["url"] == served.url
