"""Every command against a real server, with and without --json."""

from __future__ import annotations

import csv
import gzip
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from tests.support.process import free_port
from tests.support.served import Served
from tests.support.served_runs import FILLERS, HOSTILE_ID, ids

from spanhouse.canonical import args_hash
from spanhouse_server.cli.commands import cli
from spanhouse_server.control.flags import Scope

STARTS_A_SERVER = {"up", "demo", "collector", "server", "mcp"}
POLICY = "allow: [look]\ntests:\n  - {tool: look, expect: allow, rule: allowlist}\n"
CLOSES_THE_DOOR = {"keys"}
"""From the first key on a server asks everybody for one: these have a server, and tests, of their own."""


def _leaves(
    command: click.Command = cli, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _leaves(child, (*path, name))
    else:
        yield path, command


def _examples(command: click.Command) -> list[str]:
    lines = (command.help or "").splitlines()
    return [line.split("Example:", 1)[1].strip() for line in lines if "Example:" in line]


def run(served: Served, *arguments: str, code: int = 0) -> Result:
    """Return what a command did, which must end with ``code``."""
    ended = CliRunner().invoke(cli, arguments, env={"SPANHOUSE_URL": served.url, "SPANHOUSE_DATA": str(served.data)})
    assert ended.exit_code == code, (arguments, ended.output, ended.exception)
    return ended


def parsed(served: Served, *arguments: str) -> Any:
    """Return the JSON that a command printed."""
    return json.loads(run(served, *arguments, "--json").stdout)


@pytest.mark.parametrize(
    ("path", "command"), [*_leaves()], ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_the_help_of_every_command_ends_with_an_example(path: tuple[str, ...], command: click.Command) -> None:
    """One that begins with the command itself."""
    (example,) = _examples(command)
    assert example.startswith(" ".join(("spanhouse", *path)))
    shown = CliRunner().invoke(cli, [*path, "--help"])
    assert shown.exit_code == 0
    assert example in " ".join(shown.output.split())


@pytest.mark.parametrize(
    ("path", "command"),
    [leaf for leaf in _leaves() if leaf[0][0] not in STARTS_A_SERVER | CLOSES_THE_DOOR],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_every_example_runs(
    served: Served, path: tuple[str, ...], command: click.Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is printed, but for ids and files that only its reader has."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text("version: 1\nrules: []\n", encoding="utf-8")
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    (tmp_path / "budgets.yaml").write_text("budgets:\n  - {scope: tenant/day, max_usd: 5}\n", encoding="utf-8")
    (tmp_path / "runs.jsonl.gz").write_bytes(gzip.compress(b'{"run_id": "from-example", "source": "examples"}\n'))
    if path == ("export", "verify"):
        run(served, "export", "spans", "--out", "spans/")
    if path == ("restore",):
        run(served, "backup", "monday.tar")
    if path == ("audit", "verify"):
        served.parts.checkpoints.tick(eager=True)
        run(served, "audit", "checkpoints", "--out", "checkpoints.jsonl")
    (example,) = _examples(command)
    words = [word.replace("req-demo-max-usd", "req-refund") for word in shlex.split(example)[1:]]
    if path[0] == "approvals" and path[1] != "list":
        with served.client as asking:
            asked = asking.ask_approval(run_id="r", tool="t", args_hash=args_hash({}), expires_in=60)
        words[2] = asked["id"]
    run(served, *words)
    if path[0] == "control" and path[1] != "list":
        whom = words[2:4] if words[2] in {scope.value for scope in Scope} else ["run", words[2]]
        run(served, "control", "enable", *whom)


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["runs", "--limit", "3", "--agent", "filler-agent"], "/api/v1/runs?limit=3&agent=filler-agent"),
        (["run", "req-refund"], "/api/v1/runs/req-refund"),
        (["triage", "req-denied"], "/api/v1/requests/req-denied"),
        (["metrics", "--list"], "/api/v1/metrics/catalogue"),
        (["tools", "--tenant", "acme"], "/api/v1/tools?tenant=acme"),
        (["audit", "list", "--run", ids("refund")[0]], f"/api/v1/audit?run_id={ids('refund')[0]}"),
        (["audit", "list", "--name", "run.end", "--tenant", "acme"], "/api/v1/audit?name=run.end&tenant=acme"),
        (["control", "list"], "/api/v1/control"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_json_is_what_the_api_says(served: Served, arguments: list[str], path: str) -> None:
    """Word for word, so that scripts may use either."""
    said = parsed(served, *arguments)
    api = served.http.get(path).json()
    assert {k: v for k, v in said.items() if k != "next_cursor"} == {k: v for k, v in api.items() if k != "next_cursor"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["runs"], ["req", "More: --cursor", "filler-agent"][1:]),
        (["runs", "--agent", "nobody"], ["No run matches"]),
        (["runs", "--escalated"], ["ops-agent"]),
        (["run", "req-refund"], ["issue_refund", "replayed", "5 of 5 spans", "2,560 tokens", "finish (reported)"]),
        (["run", "req-plain"], ["plain-agent", "—"]),
        (["metrics", "--by", "agent", "--name", "completion_rate"], ["filler-agent", "27 / 30", "0.9"]),
        (["metrics", "--step", "1d", "--name", "runs", "--until", "2026-02-01"], ["2026-01-05"]),
        (["metrics", "--list"], ["completion_rate"]),
        (["tools"], ["fetch_page", "send_email"]),
        (["audit", "list", "--request", "req-denied"], ["policy.decision", "no mail", "deny"]),
        (["audit", "list", "--name", "breaker"], ["No audit event matches"]),
        (["audit", "list", "--limit", "1"], ["More: --cursor"]),
        (["alerts", "list"], ["rules in force"]),
    ],
    ids=lambda value: " ".join(value)[:50],
)
def test_a_table_says_what_matters(served: Served, arguments: list[str], said: list[str]) -> None:
    """In words a person can look for."""
    printed = run(served, *arguments).output
    assert [word for word in said if word not in printed] == []


def test_pages_follow_one_another(served: Served) -> None:
    """The cursor that is printed continues the list."""
    first = parsed(served, "runs", "--limit", "2")
    second = parsed(served, "runs", "--limit", "2", "--cursor", first["next_cursor"])
    assert not {r["run_id"] for r in first["runs"]} & {r["run_id"] for r in second["runs"]}


@pytest.mark.parametrize("id_", ["req-refund", ids("refund")[0], ids("refund")[1], "sess-refund"])
def test_triage_shows_all_that_it_promises(served: Served, id_: str) -> None:
    """What was asked, why it stopped, budget against limit, every call and decision, and where to read on."""
    printed = run(served, "triage", id_).output
    calls = served.get("/api/v1/runs/req-refund/steps")["steps"]
    wanted = [
        *("Refund order 1842", "Done.", "finish", "success", "max_usd", "0.008", "0.01", "80%", "max_steps", "20"),
        *("issue_refund", calls[1]["args_hash"], "500", "ok", "replayed", "allow", "refunds", "aa"),
        f"{served.url}/ui/run?run_id={ids('refund')[0]}",
    ]
    assert [word for word in wanted if word not in printed] == []
    assert "first failing step" not in printed


def test_triage_shows_every_denial_and_names_the_first_failing_step(served: Served) -> None:
    """Three refused calls, three decisions with their rules, and no budget."""
    printed = run(served, "triage", "req-denied").output
    rules = ["no mail", "no sql", "no money", "h1", "h2", "h3", "none set", "policy_deny:pay"]
    assert [word for word in rules if word not in printed] == []
    assert printed.count("denied") >= 3
    assert "first failing step: 1 (send_email)" in printed


def test_triage_of_a_run_that_knows_little_says_so(served: Served) -> None:
    """No tool was called, nothing was decided, and what is not known is a dash."""
    printed = run(served, "triage", "req-plain").output
    assert "asked     —" in printed
    assert "no tool calls" in printed
    assert "no policy decisions" in printed
    assert "None" not in printed


def test_triage_shows_a_budget_that_is_no_pair_of_numbers(served: Served) -> None:
    """An agent may report anything; what it said is shown, and a share only where there is one."""
    lines = [line.split() for line in run(served, "triage", HOSTILE_ID).output.splitlines()]
    assert ["max_usd", "3", "—", "—"] in lines
    assert ["odd", "—", "—", "—"] in lines
    assert ["max_steps", "many", "0", "—"] in lines


def test_triage_of_a_session_shows_each_run(served: Served) -> None:
    """In the order they happened."""
    printed = run(served, "triage", "sess-twice").output
    assert "2 runs matched" in printed
    assert printed.index("ask 1") < printed.index("ask 2")


@pytest.mark.parametrize(
    "arguments",
    [
        ["triage", HOSTILE_ID],
        ["run", HOSTILE_ID],
        ["runs", "--limit", "100"],
        ["tools"],
        ["audit", "list", "--limit", "1000"],
    ],
    ids=lambda value: value[0],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_what_a_model_wrote_cannot_steer_the_terminal(served: Served, arguments: list[str], *, as_json: bool) -> None:
    """No escape, no 8-bit control, nothing that turns text around; brackets are no styles; line breaks no rows."""
    printed = run(served, *arguments, *(["--json"] if as_json else [])).output
    assert not set(printed) & set("\x1b\x07\x9b\u202e")
    if arguments[0] in {"triage", "run"}:
        assert "[bold]" in printed
        assert "[red]" in printed or (as_json and arguments[0] == "run")
        assert not any(line.lstrip().startswith("fake row") for line in printed.splitlines())


@pytest.mark.parametrize("arguments", [["run", "nope"], ["triage", "nope"]], ids=str)
def test_an_unknown_id_is_exit_code_1_with_what_was_searched(served: Served, arguments: list[str]) -> None:
    """On standard error, and nothing on standard output."""
    ended = run(served, *arguments, code=1)
    assert ended.stdout == ""
    assert "searched" in ended.stderr
    assert "nope" in ended.stderr


READING = [
    ["runs"],
    ["run", "x"],
    ["triage", "x"],
    ["metrics"],
    ["metrics", "--list"],
    ["tools"],
    ["alerts", "list"],
    ["audit", "list"],
    ["control", "list"],
    ["export", "runs", "--out", "x"],
    ["export", "metrics", "--out", "x"],
]


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_a_server_that_is_away_is_one_sentence(arguments: list[str]) -> None:
    """Exit code 1 with the URL and how to start one; a URL that is none is exit code 2."""
    away = f"http://127.0.0.1:{free_port()}"
    ended = CliRunner().invoke(cli, [*arguments, "--url", away])
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert len(ended.stderr.strip().splitlines()) == 1
    assert away in ended.stderr
    assert "spanhouse up" in ended.stderr
    ended = CliRunner().invoke(cli, [*arguments, "--url", "nonsense"])
    assert (ended.exit_code, len(ended.stderr.strip().splitlines())) == (2, 1)


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_exports_have_a_row_for_each_of_the_api(served: Served, kind: str, tmp_path: Path) -> None:
    """Runs and metric points alike, whatever the format."""
    out = tmp_path / f"out.{kind}"
    said = run(served, "export", "runs", "--agent", "filler-agent", "--format", kind, "--out", str(out)).output
    assert _count(out, kind) == FILLERS
    assert f"{FILLERS} runs written" in said
    query = ["--name", "runs,completion_rate", "--by", "agent", "--until", "2026-02-01"]
    run(served, "export", "metrics", *query, "--format", kind, "--out", str(out))
    points = served.get("/api/v1/metrics", name="runs,completion_rate", by="agent", until="2026-02-01")["points"]
    assert _count(out, kind) == len(points) > 10


def test_a_file_that_cannot_be_written_is_one_sentence(served: Served, tmp_path: Path) -> None:
    """With its path and why."""
    ended = run(served, "export", "runs", "--out", str(tmp_path / "no" / "where.csv"), code=1)
    assert "where.csv cannot be written" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def _count(path: Path, kind: str) -> int:
    if kind == "csv":
        with path.open(newline="", encoding="utf-8") as file:
            return sum(1 for _ in csv.DictReader(file))
    if kind == "json":
        return len(json.loads(path.read_text(encoding="utf-8")))
    return int(pq.read_metadata(path).num_rows)


def test_control_round_trip(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop, disable, list and enable with the token of --data; enable says what it lifted."""
    monkeypatch.delenv("SPANHOUSE_DATA", raising=False)
    data = ["--data", str(served.data)]
    assert "stop run r-1: in force" in run(served, "control", "stop", "run", "r-1", "--by", "ann", *data).output
    flag = parsed(served, "control", "disable", "tool", "http.get", "--ttl", "60", "--reason", "[red]down", *data)
    assert flag["expires_at"]
    listed = run(served, "control", "list").output
    assert [word for word in ("r-1", "ann", "http.get", "[red]down") if word not in listed] == []
    assert f"lifted flag {flag['id']}" in run(served, "control", "enable", "tool", "http.get", *data).output
    assert "no flag was in force" in run(served, "control", "enable", "tool", "http.get", *data).output
    run(served, "control", "enable", "run", "r-1", *data)
    assert parsed(served, "control", "list")["flags"] == []
    assert "No flag is in force" in run(served, "control", "list").output


def test_control_without_the_token_says_where_it_is_looked_for(served: Served, tmp_path: Path) -> None:
    """Exit code 1 with the file and the option; a decision that names nothing is refused by the server."""
    ended = run(served, "control", "stop", "all", "--data", str(tmp_path), code=1)
    assert str(tmp_path / "operator.token") in ended.stderr
    assert "--data" in ended.stderr
    assert "needs a target" in run(served, "control", "stop", "run", code=1).stderr
    assert "takes no target" in run(served, "control", "stop", "all", "acme", code=1).stderr


def test_import_names_bad_lines_and_takes_the_rest(served: Served, tmp_path: Path) -> None:
    """By file and line number on standard error, exit code 1; two files of one name are told apart."""
    good = '{"run_id": "imported-%d", "source": "cli-import"}'
    paths = []
    for number in (1, 2):
        path = tmp_path / str(number) / "runs.jsonl"
        path.parent.mkdir()
        path.write_text(f"{good % number}\nnot json\n[1]\n{good % (number + 10)}\n", encoding="utf-8")
        paths.append(str(path))
    ended = run(served, "import", *paths, code=1)
    for name in paths:
        assert f"{name}:2: not JSON" in ended.stderr
        assert f"{name}:3: not a JSON object" in ended.stderr
        assert f"{name}: 2 runs" in ended.stdout
    assert len(served.get("/api/v1/runs", agent="cli-import")["runs"]) == 4
    report = json.loads(run(served, "import", paths[0], "--json", code=1).stdout)
    assert [bad["line"] for bad in report["files"][0]["bad_lines"]] == [2, 3]


def test_alerts_check_names_each_problem_with_its_line(tmp_path: Path) -> None:
    """Exit code 1 for a file with problems, 0 without; no server is asked."""
    file = tmp_path / "rules.yaml"
    file.write_text("version: 1\nrules:\n  - {id: x, kind: nonsense}\n", encoding="utf-8")
    ended = CliRunner().invoke(cli, ["alerts", "check", str(file)])
    assert ended.exit_code == 1
    assert f"{file}:3:" in ended.stderr
    ended = CliRunner().invoke(cli, ["alerts", "check", str(file), "--json"])
    assert json.loads(ended.stdout)["problems"][0]["line"] == 3
