"""Checkpoints over the API and the command line: published, narrowed to the caller, verified, rotated, and erasure."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from tests.support.chained import chained, otlp
from tests.support.deletable import finished
from tests.support.process import run_cli
from tests.support.served import Served, problem, serving

from spanhouse.audit import json_schemas
from spanhouse_server.audit import checkpoint, outbox, signing
from spanhouse_server.cli.commands import cli
from spanhouse_storage import migrate, open_store
from spanhouse_storage.erasure import TABLES

OTLP = {"content-type": "application/x-protobuf"}
AGENT = """
import spanhouse as sh
sh.init(service="t", tenant="agents")
for number in range(3):
    with sh.run("refund", user_id="ada") as run:
        with sh.tool_call("lookup", {"order": number}) as call:
            call.result({"ok": True})
        run.event("decision", option="refund", confidence=0.9)
assert sh.flush(30)
sh.shutdown()
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a run each of acme and globex, and three of a real SDK's, all signed."""
    folder = tmp_path_factory.mktemp("audit")
    # The engine minds how soon to clear parts from the second opening on.
    store = open_store(folder / "data" / "store")
    migrate(store)
    store.close()
    with serving(folder / "data", audit_anchor=str(folder / "anchor")) as running:
        for name in TABLES:
            running.parts.store.execute(f"ALTER TABLE {name} MODIFY SETTING old_parts_lifetime = 0")
        now = datetime.now(UTC)
        for tenant in ("acme", "globex"):
            body = otlp(chained(f"run-of-{tenant}", 4, at=now, tenant=tenant))
            assert running.http.post("/v1/logs", content=body, headers=OTLP).is_success
        environ = {**os.environ, "SPANHOUSE_URL": running.url}
        subprocess.run([sys.executable, "-c", AGENT], env=environ, check=True, timeout=60)
        sign(running)
        yield running


def sign(served: Served) -> None:
    """Take the checkpoints of what is there now."""
    served.drain()
    served.parts.checkpoints.tick(eager=True)


def operating(served: Served) -> dict[str, str]:
    return {"authorization": f"Bearer {served.parts.operator_token}"}


def run(served: Served, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--url", served.url])


def report(served: Served, *arguments: str, code: int = 0) -> dict[str, Any]:
    said = run(served, "audit", "verify", "--json", *arguments)
    assert said.exit_code == code, said.output
    found: dict[str, Any] = json.loads(said.output)
    return found


def test_checkpoints_are_published_with_the_keys_that_verify_them(served: Served) -> None:
    answer = served.get("/api/v1/audit/checkpoints", tenant="acme")
    key = signing.PublicKey.of_json(answer["keys"][0])
    signed = [checkpoint.Signed.of_json(each) for each in answer["checkpoints"]]
    assert [each.checkpoint.number for each in signed] == list(range(1, len(signed) + 1))
    assert all(key.verifies(each.checkpoint.text(), each.signature) for each in signed)
    assert "run-of-acme" in {head.stream for each in signed for head in each.checkpoint.heads}
    newest = served.get("/api/v1/audit/checkpoints")["checkpoints"]
    assert {each["checkpoint"]["tenant"] for each in newest} >= {"acme", "agents", "globex"}
    assert served.get("/api/v1/audit/checkpoints", tenant="acme", after=len(signed))["checkpoints"] == []
    served.refused("/api/v1/audit/checkpoints", 400, tennant="acme")


def test_the_schema_of_every_event_is_published_and_printed(served: Served) -> None:
    assert served.get("/api/v1/audit/schema")["events"] == json_schemas()
    assert json.loads(CliRunner().invoke(cli, ["audit", "schema"]).output) == json_schemas()
    one = json.loads(CliRunner().invoke(cli, ["audit", "schema", "tool.call"]).output)
    assert one["properties"]["args_hash"]["type"] == "string"
    unknown = CliRunner().invoke(cli, ["audit", "schema", "tool.cal"])
    assert unknown.exit_code == 2
    assert "tool.call" in unknown.output


def test_runs_of_a_real_sdk_are_whole_by_their_chain_their_count_and_the_copy(served: Served) -> None:
    anchor = str(served.data.parent / "anchor")
    found = report(served, "--checkpoints", anchor)
    assert found["result"] == "whole"
    (agents,) = [each for each in found["tenants"] if each["tenant"] == "agents"]
    assert agents["streams"] == 3
    assert agents["events"] >= 12
    assert (agents["flaws"], agents["unchained"], agents["uncovered"]) == ([], [], 0)
    (one, *_) = served.client.runs(tenant="agents")["runs"]
    assert report(served, "--run", one["run_id"])["tenants"][0]["streams"] == 1
    assert "no audit event of run nobody's" in run(served, "audit", "verify", "--run", "nobody's").output
    report(served, "--run", "nobody's", code=2)


def test_checkpoints_are_written_to_a_file_that_verifies_elsewhere(served: Served, tmp_path: Path) -> None:
    out = tmp_path / "checkpoints.jsonl"
    said = run(served, "audit", "checkpoints", "--out", str(out))
    assert said.exit_code == 0, said.output
    found = report(served, "--checkpoints", str(out))
    assert all(each["checkpoints"]["outside"] == each["checkpoints"]["count"] for each in found["tenants"])
    lines = out.read_text().splitlines()
    out.write_text("\n".join([*lines, "no checkpoint"]) + "\n")
    broken = report(served, "--checkpoints", str(out), code=1)
    assert "is no checkpoint" in broken["problems"][0]
    out.write_text("nothing at all")
    assert run(served, "audit", "verify", "--checkpoints", str(out)).exit_code == 2
    assert "acme" in run(served, "audit", "checkpoints").output


def test_who_knows_another_key_trusts_nothing_and_who_knows_ours_everything(served: Served, tmp_path: Path) -> None:
    other, ours = tmp_path / "other.pem", tmp_path / "ours.pem"
    other.write_text(signing.make().public.pem)
    ours.write_text(signing.load(served.data / "audit.key").public.pem)
    found = report(served, "--tenant", "acme", "--key", str(other), code=1)
    assert {flaw["kind"] for flaw in found["tenants"][0]["flaws"]} == {"checkpoint"}
    assert report(served, "--tenant", "acme", "--key", str(ours))["result"] == "whole"
    other.write_text("no key")
    assert run(served, "audit", "verify", "--key", str(other)).exit_code == 2


def test_erasure_keeps_chains_whole_and_the_report_lists_the_bodies(served: Served) -> None:
    wanted = {"tenant": "agents", "user": "ada", "dry_run": False}
    begun = served.http.post("/api/v1/deletions", json=wanted, headers=operating(served)).json()["deletion"]
    finished(served, begun["id"])
    sign(served)
    found = report(served, "--tenant", "agents", "--checkpoints", str(served.data.parent / "anchor"))
    (agents,) = found["tenants"]
    assert found["result"] == "whole"
    assert sum(len(each) for each in agents["erased"].values()) >= 12
    assert agents["notes"] == [], "the deletion is on record"


def test_rotation_needs_an_operator_is_an_event_and_breaks_nothing(served: Served, tmp_path: Path) -> None:
    first = tmp_path / "first.pem"
    first.write_text(signing.load(served.data / "audit.key").public.pem)
    problem(served.http.post("/api/v1/audit/rotate-key"), 401)
    said = run_cli("audit", "rotate-key", "--url", served.url, "--data", str(served.data))
    assert said.returncode == 0, said.stderr
    assert "BEGIN PUBLIC KEY" in said.stdout
    assert outbox.untold(served.parts.state) == []
    sign(served)
    events = served.get("/api/v1/audit", name="audit.key", tenant="default")["events"]
    assert events[-1]["data"]["certified_by"] == signing.read_public(first.read_text())[0].id
    assert report(served, "--key", str(first))["result"] == "whole"


def test_a_change_of_the_policy_file_is_a_control_event_that_says_which_and_not_what(served: Served) -> None:
    policy = served.data / "policy.yaml"
    for text in ("version: 1\n", "version: 1\ndefault: {}\n"):
        policy.write_text(text)
        served.parts.checkpoints.tick()
    asyncio.run(served.parts.trail.send())
    served.drain()
    policy.unlink()
    events = served.get("/api/v1/audit", name="config", tenant="default")["events"]
    assert {each["data"]["what"] for each in events} == {"policy.yaml"}
    assert [each["data"].get("before") for each in events][-1] == events[-2]["data"]["fingerprint"]
    assert len(events[-1]["data"]["fingerprint"]) == 16


def test_a_key_of_one_tenant_sees_its_checkpoints_alone(served: Served) -> None:
    """Last: from the first key on, reading needs one."""
    wanted = {"tenants": ["acme"], "role": "read"}
    made = served.http.post("/api/v1/keys", json=wanted, headers=operating(served)).json()
    with httpx.Client(base_url=served.url, headers={"authorization": f"Bearer {made['secret']}"}) as reader:
        newest = reader.get("/api/v1/audit/checkpoints").json()["checkpoints"]
        assert {each["checkpoint"]["tenant"] for each in newest} == {"acme"}
        problem(reader.get("/api/v1/audit/checkpoints", params={"tenant": "globex"}), 403)
        problem(reader.post("/api/v1/audit/rotate-key"), 403)
        assert reader.get("/api/v1/audit/schema").is_success
    environ = {"SPANHOUSE_TOKEN": made["secret"]}
    said = run_cli("audit", "verify", "--url", served.url, **environ)
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.startswith("acme: whole")
    assert "globex" not in said.stdout
