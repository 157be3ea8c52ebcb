"""Deleting on request: first shown, then done, then proved, and not undone by what comes late."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.deletable import ADA, ask, body, finished, send, spans
from tests.support.erasable import files_with
from tests.support.process import run_cli
from tests.support.served import Served, problem, serving

from spanhouse_server.deletions import table
from spanhouse_server.deletions.letters import erase as erase_letters
from spanhouse_storage import migrate, open_store
from spanhouse_storage.erasure import TABLES


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("server") / "data"
    # The engine minds how soon to clear parts from the second opening on.
    store = open_store(data / "store")
    migrate(store)
    store.close()
    with serving(data) as served:
        for name in TABLES:
            served.parts.store.execute(f"ALTER TABLE {name} MODIFY SETTING old_parts_lifetime = 0")
        yield served


def test_a_user_is_shown_deleted_proved_and_kept_out(running: Served) -> None:
    first = body(1, ADA)
    send(running, first, body(2, "bob"))
    plan = ask(running, user=ADA).json()["plan"]
    assert plan["tables"]["spans"] == 2
    assert plan["tables"]["runs"] == 1
    assert spans(running) == ["1", "2"]

    before = time.time()
    begun = ask(running, user=ADA, dry_run=False, reason="asked by letter").json()["deletion"]
    done = finished(running, begun["id"])
    assert spans(running) == ["2"]
    assert ADA not in json.dumps(done)

    receipt = done["receipt"]
    assert receipt["before"]["spans"] == 2
    assert receipt["after"] == {}
    assert receipt["verified"]["parts_still_on_disk"] == 0
    assert (receipt["by"], receipt["reason"]) == ("operator", "asked by letter")
    rows = running.parts.store.query("SELECT table_name, rows, kind, subject FROM deletions FINAL").to_pylist()
    assert {(row["table_name"], row["rows"]) for row in rows if row["table_name"] == "spans"} == {("spans", 2)}
    assert {row["subject"] for row in rows} == {done["subject_sha256"]}

    send(running, first)
    assert spans(running) == ["2"], "a sender's repeat brings nothing back"
    ledger = running.get("/api/v1/ledger")["totals"]
    assert ledger["received"] == ledger["stored"] + ledger["rejected"] + ledger["sampled_out"] + ledger["duplicated"]
    assert any("erased" in reason for reason in ledger["reasons"])

    send(running, body(3, ADA, at=before + 3_600))
    assert spans(running) == ["2", "3"], "what the person does later is theirs anew"

    events = running.get("/api/v1/audit", name="deletion", tenant="acme")["events"]
    assert [event["data"]["deletion"] for event in events] == [begun["id"]]
    with running.parts.state.connect() as connection:
        assert ADA not in str(connection.execute(table.DELETIONS.select()).all())


def test_no_file_of_the_server_holds_what_was_deleted(running: Served) -> None:
    """The journal too: it is where every text lay first."""
    text = "only-here-once-8c1f"
    send(running, body(11, "cleo", text=text))
    assert files_with(running.data / "journal", text)
    finished(running, ask(running, user="cleo", dry_run=False).json()["deletion"]["id"])
    assert files_with(running.data, text) == []


def test_who_may_not_operate_may_not_delete(running: Served) -> None:
    answer = running.http.post("/api/v1/deletions", json={"tenant": "acme", "user": "x"})
    assert problem(answer, 401)


def test_a_request_names_one_subject(running: Served) -> None:
    assert ask(running, user="a", session="b").status_code in {400, 422}
    assert ask(running).status_code in {400, 422}


def test_an_unknown_deletion_is_not_found(running: Served) -> None:
    answer = running.http.get(
        "/api/v1/deletions/nope", headers={"authorization": f"Bearer {running.parts.operator_token}"}
    )
    assert problem(answer, 404)


def test_the_command_shows_first_and_deletes_on_yes(running: Served, tmp_path: Path) -> None:
    send(running, body(21, "dora"))
    options = ("--tenant", "acme", "--request-id", "q21", "--url", running.url, "--data", str(running.data))
    shown = run_cli("delete", *options)
    assert shown.returncode == 0, shown.stderr
    assert "say --yes" in shown.stdout
    assert "21" in spans(running)
    done = run_cli("delete", *options, "--yes", "--receipt", str(tmp_path / "receipt.json"))
    assert done.returncode == 0, done.stderr
    assert "21" not in spans(running)
    assert json.loads((tmp_path / "receipt.json").read_text())["before"]["spans"] == 2
    listed = run_cli("deletions", "--url", running.url, "--data", str(running.data))
    assert "request" in listed.stdout


def test_retention_is_listed_as_the_policy_says_it(running: Served) -> None:
    policy = running.data / "policy.yaml"
    policy.write_text("tenants:\n  acme:\n    retention: {content: 30d, spans: 90d}\n")
    deadline = time.monotonic() + 10
    while len(running.client.retention()) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    rows = {row["tenant"]: row for row in running.client.retention()}
    policy.unlink()
    assert (rows[None]["spans"], rows["acme"]["content"], rows["acme"]["runs"]) == ("forever", "30d", "forever")


def test_dead_letters_of_the_deleted_lose_their_bodies_and_others_keep_theirs(tmp_path: Path) -> None:
    for number, user in enumerate((ADA, "bob", "not-" + ADA)):
        (tmp_path / f"{number}.otlp.pb").write_bytes(body(number + 1, user))
        (tmp_path / f"{number}.json").write_text(json.dumps({"items": 2, "reason": f"DecodeError: bad {user}"}))
    assert erase_letters(tmp_path, [ADA], [], "d1") == 1
    assert [(tmp_path / f"{number}.otlp.pb").stat().st_size > 0 for number in range(3)] == [False, True, True]
    note = json.loads((tmp_path / "0.json").read_text())
    assert (note["body"], note["reason"]) == ("erased by deletion d1", "DecodeError")
    assert erase_letters(tmp_path, [], ["00000000000000000000000000000002"], "d2") == 1
