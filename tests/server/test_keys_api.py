"""What a key opens, over HTTP on a real server: its own tenants, its own role, and nothing else."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from prometheus_client.parser import text_string_to_metric_families
from tests.support import otlp_bodies as otlp
from tests.support.served import Served, problem, serving
from tests.support.served_runs import fill, ids

from spanhouse.audit.registry import build
from spanhouse_alerts.check import loads
from spanhouse_server.api.alerts import of_tenants
from spanhouse_server.audit import outbox
from spanhouse_storage.reads import LedgerFilter, ledger_totals

SECRETS: list[str] = []


class Keyed:
    """A filled server that asks for keys, and a client for each kind of key."""

    def __init__(self, served: Served, clients: ExitStack) -> None:
        self.served, self._clients = served, clients
        self.operator = self._client(served.parts.operator_token)
        self.key_ids: dict[str, str] = {}
        self.anyone = self._client("")

    def _client(self, text: str) -> httpx.Client:
        given_ = {"authorization": f"Bearer {text}"} if text else {}
        return self._clients.enter_context(httpx.Client(base_url=self.served.url, headers=given_, timeout=60))

    def key(self, role: str, *tenants: str, **fields: Any) -> httpx.Client:
        """Return a client with a new key."""
        answer = self.operator.post("/api/v1/keys", json={"role": role, "tenants": list(tenants), **fields})
        assert answer.status_code == 201, answer.text
        text = answer.json()["secret"]
        SECRETS.append(text)
        made = self._client(text)
        self.key_ids[str(id(made))] = answer.json()["key"]["id"]
        return made

    def id_of(self, client: httpx.Client) -> str:
        """Return the id of a client's key."""
        return self.key_ids[str(id(client))]


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    """Tenants acme (run refund), globex (denied, filler-N) and default, filled before the first key was made."""
    with serving(tmp_path_factory.mktemp("keyed") / "data") as served, ExitStack() as clients:
        fill(served)
        found = Keyed(served, clients)
        found.key("ingest", "somebody")
        yield found


@pytest.fixture(scope="module")
def acme(keyed: Keyed) -> httpx.Client:
    return keyed.key("read", "acme", name="acme reader")


@pytest.fixture(scope="module")
def parameters(keyed: Keyed) -> dict[str, set[str]]:
    """Return what each list can be asked by; others would be refused before anything is read."""
    paths = keyed.anyone.get("/api/v1/openapi.json").json()["paths"]
    return {route: {each["name"] for each in paths[f"/api/v1/{route}"]["get"].get("parameters", ())} for route in LISTS}


FOREIGN_RUN, FOREIGN_TRACE = ids("denied")
OWN_RUN, OWN_TRACE = ids("refund")


def rows_of(document: Any) -> Iterator[dict[str, Any]]:
    """Yield every object anywhere in a document."""
    if isinstance(document, dict):
        yield document
        document = list(document.values())
    if isinstance(document, list):
        for member in document:
            yield from rows_of(member)


LISTS = ("runs", "audit", "metrics", "tools", "facets", "alerts", "scores", "points", "models")
QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "tenant": st.sampled_from(["acme", "globex", "acme,globex", "default", "nobody"]),
        "agent": st.sampled_from(["support-agent", "ops-agent", "filler-agent"]),
        "request_id": st.sampled_from(["req-refund", "req-denied", "req-filler-1"]),
        "run_id": st.sampled_from([OWN_RUN, FOREIGN_RUN]),
        "type": st.sampled_from(["agent", "call"]),
        "text": st.sampled_from(["Clean", "Refund", "a"]),
        "tool": st.sampled_from(["send_email", "issue_refund"]),
        "since": st.just("3650d"),
        "sort": st.sampled_from(["started_at", "-cost_usd"]),
        "name": st.sampled_from(["runs", "completion_rate", "policy.decision", "tool_calls"]),
        "by": st.sampled_from(["tenant", "agent", "tool", "stop_reason"]),
        "limit": st.sampled_from(["1", "7", "500"]),
    },
)
FOREIGN_WORDS = ("globex", "ops-agent", "filler-agent", "send_email", "drop_table", FOREIGN_RUN, FOREIGN_TRACE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(route=st.sampled_from(LISTS), query=QUERIES)
def test_no_query_shows_a_row_of_another_tenant(
    acme: httpx.Client, parameters: dict[str, set[str]], route: str, query: dict[str, str]
) -> None:
    """Whatever is asked, of whatever list: only acme's, or a refusal."""
    query = {name: value for name, value in query.items() if name in parameters[route]}
    answer = acme.get(f"/api/v1/{route}", params=query)
    if set(query.get("tenant", "acme").split(",")) - {"acme"}:
        problem(answer, 403)
        return
    assert answer.status_code in {200, 400, 404}, answer.text
    if answer.status_code != 200:
        return
    tenants = {row["tenant"] for row in rows_of(answer.json()) if isinstance(row.get("tenant"), str)}
    assert tenants <= {"acme"}
    asked = set(query.values())
    assert [word for word in FOREIGN_WORDS if word in answer.text and word not in asked] == []


def test_every_route_of_the_published_api_is_closed_to_who_shows_no_key(keyed: Keyed) -> None:
    """Also those that are added later: the gate goes by the path."""
    paths = keyed.anyone.get("/api/v1/openapi.json").json()["paths"]
    checked = 0
    for path, methods in paths.items():
        if not path.startswith("/api/") and path != "/metrics":
            continue
        for method in methods:
            answer = keyed.anyone.request(method.upper(), path.replace("{", "").replace("}", ""))
            assert answer.headers["www-authenticate"].startswith("Bearer")
            problem(answer, 401)
            checked += 1
    assert checked >= 15


@pytest.mark.parametrize("path", ["", "/steps", "/spans", "/spans/0000000000000001"])
def test_a_foreign_run_is_not_there(acme: httpx.Client, keyed: Keyed, path: str) -> None:
    mine = acme.get(f"/api/v1/runs/{FOREIGN_RUN}{path}")
    problem(mine, 404)
    problem(acme.get("/api/v1/scores", params={"run_id": FOREIGN_RUN}), 404)
    assert "ops-agent" not in mine.text
    if path != "/spans/0000000000000001":
        assert keyed.operator.get(f"/api/v1/runs/{FOREIGN_RUN}{path}").status_code == 200


@pytest.mark.parametrize("wanted", [FOREIGN_RUN, FOREIGN_TRACE, "req-denied", "req-filler-1"])
def test_a_foreign_request_is_not_there_by_any_of_its_ids(acme: httpx.Client, keyed: Keyed, wanted: str) -> None:
    problem(acme.get(f"/api/v1/requests/{wanted}"), 404)
    assert keyed.operator.get(f"/api/v1/requests/{wanted}").status_code == 200


def test_a_key_sees_all_of_its_own(acme: httpx.Client) -> None:
    assert acme.get(f"/api/v1/runs/{OWN_RUN}").json()["tenant"] == "acme"
    assert acme.get("/api/v1/requests/req-refund").json()["runs"][0]["run"]["run_id"] == OWN_RUN
    assert acme.get("/api/v1/facets").json()["tenant"] == ["acme"]
    points = acme.get("/api/v1/metrics", params={"name": "runs", "by": "tenant"}).json()["points"]
    assert {point["group"]["tenant"] for point in points} == {"acme"}


def test_a_key_of_several_tenants_sees_these_and_a_star_sees_all(keyed: Keyed) -> None:
    two = keyed.key("read", "acme", "globex")
    assert two.get("/api/v1/facets").json()["tenant"] == ["acme", "globex"]
    all_ = keyed.key("read", "*").get("/api/v1/facets").json()["tenant"]
    assert {"acme", "globex", "default"} <= set(all_)


@pytest.mark.parametrize(
    ("role", "reads", "polls", "controls", "keys"),
    [
        ("ingest", 403, 200, 403, 403),
        ("read", 200, 200, 403, 403),
        ("operate", 200, 200, 201, 403),
        ("admin", 200, 200, 201, 200),
    ],
)
def test_a_role_opens_what_it_is_for(keyed: Keyed, role: str, reads: int, polls: int, controls: int, keys: int) -> None:
    client = keyed.key(role, "acme")
    flag = {"action": "disable", "scope": "tool", "target": f"t-{role}", "ttl_seconds": 0.001}
    found = (
        client.get("/api/v1/runs").status_code,
        client.get("/api/v1/control").status_code,
        client.post("/api/v1/control", json=flag).status_code,
        client.get("/api/v1/keys").status_code,
    )
    assert found == (reads, polls, controls, keys)


def test_the_servers_own_figures_need_a_key_of_all_tenants(keyed: Keyed, acme: httpx.Client) -> None:
    problem(acme.get("/metrics"), 403)
    problem(acme.get("/api/v1/reprocess"), 403)
    assert keyed.key("read", "*").get("/metrics").status_code == 200
    assert keyed.anyone.get("/healthz").status_code == keyed.anyone.get("/readyz").status_code == 200


COUNTS = ("stored", "rejected", "sampled_out", "duplicated")


def settled(keyed: Keyed) -> None:
    """Wait until what was done to keys is in the trail, and stored: its events are records like any others."""
    deadline = time.monotonic() + 30
    while outbox.untold(keyed.served.parts.state) and time.monotonic() < deadline:
        time.sleep(0.05)
    keyed.served.drain()


def test_the_ledger_of_a_key_is_that_of_its_tenants_and_adds_up(keyed: Keyed, acme: httpx.Client) -> None:
    """The ledgers of every tenant alone are together the ledger of all."""
    keyed.served.drain()
    tenants = {line["tenant"] for line in keyed.operator.get("/api/v1/ledger").json()["minutes"]}
    assert {"acme", "globex"} < tenants
    readers = {tenant: keyed.key("read", tenant) for tenant in tenants}
    nobody = keyed.key("read", "nobody")
    settled(keyed)
    whole = keyed.operator.get("/api/v1/ledger").json()
    assert {line["tenant"] for line in whole["minutes"]} == {*tenants, "nobody"}
    sums = dict.fromkeys(("received", *COUNTS), 0)
    for tenant, reader in {**readers, "nobody": nobody}.items():
        own = reader.get("/api/v1/ledger").json()
        assert {line["tenant"] for line in own["minutes"]} == {tenant}
        totals = own["totals"]
        assert totals["pending"] is None
        assert totals["received"] == sum(totals[name] for name in COUNTS) > 0
        assert totals["received"] == sum(line["received"] for line in own["minutes"])
        for name in sums:
            sums[name] += totals[name]
    assert sums == {name: whole["totals"][name] for name in sums}
    problem(acme.get("/api/v1/ledger", params={"tenant": "globex"}), 403)
    assert ledger_totals(keyed.served.parts.store, LedgerFilter(within=frozenset()))["received"] == 0


def test_a_key_sees_of_the_system_what_is_of_its_tenants_alone(keyed: Keyed, acme: httpx.Client) -> None:
    settled(keyed)
    whole, own = keyed.operator.get("/api/v1/system").json(), acme.get("/api/v1/system").json()
    assert whole.keys() == own.keys()
    assert all(whole[name] is not None for name in whole)
    for name in ("journal", "dead_letters", "disks", "store", "schema"):
        assert own[name] is None
    assert str(keyed.served.data) in str(whole)
    assert str(keyed.served.data) not in str(own)
    day = own["ledger"]["day"]
    assert 0 < day["received"] < whole["ledger"]["day"]["received"]
    assert day["received"] == sum(day[name] for name in COUNTS)
    assert not any(word in str(own) for word in FOREIGN_WORDS)


def test_a_flag_of_an_operators_key_holds_in_its_tenant_alone(keyed: Keyed, acme: httpx.Client) -> None:
    globex, sender = keyed.key("operate", "globex"), keyed.key("ingest", "acme")
    flag = {"action": "disable", "scope": "agent", "target": "support-agent", "ttl_seconds": 60}
    made = globex.post("/api/v1/control", json=flag).json()
    assert made["tenant"] == "globex"
    assert keyed.id_of(globex) in made["by"]
    assert [each["id"] for each in globex.get("/api/v1/control").json()["flags"] if each["id"] == made["id"]]
    for client in (acme, sender):
        assert made["id"] not in [each["id"] for each in client.get("/api/v1/control").json()["flags"]]
    problem(globex.post("/api/v1/control", json={**flag, "tenant": "acme"}), 403)
    problem(globex.post("/api/v1/control", json={**flag, "scope": "tenant", "target": "acme"}), 403)
    problem(globex.post("/api/v1/control", json={**flag, "scope": "tenant", "target": "acme", "tenant": "globex"}), 403)
    everywhere = keyed.operator.post("/api/v1/control", json={**flag, "target": "x"}).json()
    assert everywhere["id"] in [each["id"] for each in sender.get("/api/v1/control").json()["flags"]]
    hidden = keyed.operator.post("/api/v1/control", json={**flag, "scope": "tenant", "target": "globex"}).json()
    assert hidden["id"] not in [each["id"] for each in sender.get("/api/v1/control").json()["flags"]]


def test_a_flag_of_a_key_of_several_tenants_must_say_where_it_holds(keyed: Keyed) -> None:
    two = keyed.key("operate", "acme", "globex")
    flag = {"action": "disable", "scope": "agent", "target": "a", "ttl_seconds": 1}
    problem(two.post("/api/v1/control", json=flag), 400)
    assert two.post("/api/v1/control", json={**flag, "tenant": "acme"}).json()["tenant"] == "acme"


def test_an_admin_manages_the_keys_of_its_own_tenants_alone(keyed: Keyed, acme: httpx.Client) -> None:
    admin = keyed.key("admin", "acme")
    foreign = keyed.id_of(keyed.key("read", "globex"))
    listed = admin.get("/api/v1/keys").json()["keys"]
    assert {tuple(key["tenants"]) for key in listed} == {("acme",)}
    for tenants in (["*"], ["globex"], ["acme", "globex"]):
        problem(admin.post("/api/v1/keys", json={"role": "read", "tenants": tenants}), 403)
    problem(admin.post(f"/api/v1/keys/{foreign}/revoke"), 404)
    problem(admin.post(f"/api/v1/keys/{foreign}/rotate", json={}), 404)
    assert admin.post("/api/v1/keys", json={"role": "read", "tenants": ["acme"]}).status_code == 201


def test_a_revoked_key_is_refused_at_once_and_a_rotated_one_after_the_overlap(keyed: Keyed) -> None:
    client = keyed.key("read", "acme")
    rotated = keyed.operator.post(f"/api/v1/keys/{keyed.id_of(client)}/rotate", json={"overlap_seconds": 600})
    assert rotated.status_code == 201
    assert client.get("/api/v1/runs").status_code == 200
    successor = rotated.json()["key"]["id"]
    text = rotated.json()["secret"]
    assert keyed.anyone.get("/api/v1/runs", headers={"authorization": f"Bearer {text}"}).status_code == 200
    for key_id in (keyed.id_of(client), successor):
        assert keyed.operator.post(f"/api/v1/keys/{key_id}/revoke").json()["key"]["state"] == "revoked"
    problem(client.get("/api/v1/runs"), 401)
    problem(keyed.anyone.get("/api/v1/runs", headers={"authorization": f"Bearer {text}"}), 401)
    problem(keyed.operator.post(f"/api/v1/keys/{successor}/rotate", json={}), 409)


def test_every_change_of_a_key_is_in_the_trail_of_its_tenants_with_who_did_it(keyed: Keyed) -> None:
    """Whoever may read one tenant's trail learns of no other tenant; the secret stands nowhere."""
    admin = keyed.key("admin", "initech", "hooli", name="chief")
    chief = f"{keyed.id_of(admin)} (chief)"
    made = admin.post("/api/v1/keys", json={"role": "read", "tenants": ["initech", "hooli"], "name": "x"}).json()
    SECRETS.append(made["secret"])
    old = made["key"]["id"]
    new = admin.post(f"/api/v1/keys/{old}/rotate", json={"overlap_seconds": 60}).json()
    SECRETS.append(new["secret"])
    for _ in range(2):
        assert admin.post(f"/api/v1/keys/{new['key']['id']}/revoke").status_code == 200
    reader = keyed.key("read", "initech")

    def trail(client: httpx.Client) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = client.get("/api/v1/audit", params={"limit": 500}).json()["events"]
        return [each for each in found if each["name"].startswith("key.")]

    deadline = time.monotonic() + 30
    while len(events := trail(reader)) < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [(each["name"], each["data"]["key"], each["data"]["by"]) for each in events] == [
        ("key.create", keyed.id_of(admin), "operator"),
        ("key.create", old, chief),
        ("key.rotate", old, chief),
        ("key.revoke", new["key"]["id"], chief),
        ("key.create", keyed.id_of(reader), "operator"),
    ]
    assert events[2]["data"]["replaced_by"] == new["key"]["id"]
    assert {(each["tenant"], each["stream"]) for each in events} == {("initech", "control")}
    assert all(each["data"]["tenants"] == ["initech"] for each in events)
    assert all(build(each["name"], each["data"]) for each in events)
    assert not any(text in str(events) for text in SECRETS)
    assert outbox.untold(keyed.served.parts.state) == []


OTLP = {"content-type": "application/x-protobuf"}


def refused(keyed: Keyed) -> dict[tuple[str, str], float]:
    """Return how many were turned away, by door and reason."""
    text = keyed.operator.get("/metrics").text
    assert not any(secret in text for secret in SECRETS)
    families = {each.name: each for each in text_string_to_metric_families(text)}
    samples = families["spanhouse_server_refused_callers"].samples
    return {
        (each.labels["door"], each.labels["reason"]): each.value for each in samples if each.name.endswith("_total")
    }


def test_who_is_turned_away_is_counted_by_door_and_reason(keyed: Keyed, acme: httpx.Client) -> None:
    gone, late = keyed.key("read", "acme"), keyed.key("read", "acme", expires_seconds=0.001)
    keyed.operator.post(f"/api/v1/keys/{keyed.id_of(gone)}/revoke")
    sender = {"authorization": "Bearer shk_" + "a" * 8 + "_" + "b" * 43}
    before = refused(keyed)
    asked: dict[tuple[str, str], Callable[[], httpx.Response]] = {
        ("api", "no key"): lambda: keyed.anyone.get("/api/v1/runs"),
        ("api", "unknown"): lambda: keyed.anyone.get("/api/v1/runs", headers=sender),
        ("api", "revoked"): lambda: gone.get("/api/v1/runs"),
        ("api", "expired"): lambda: late.get("/api/v1/runs"),
        ("api", "role"): lambda: acme.post("/api/v1/control", json={}),
        ("api", "tenant"): lambda: acme.get("/api/v1/runs", params={"tenant": "globex"}),
        ("otlp", "unknown"): lambda: keyed.anyone.post("/v1/traces", headers={**sender, **OTLP}),
        ("otlp", "role"): lambda: acme.post("/v1/traces", headers=OTLP),
    }
    for ask in asked.values():
        assert ask().status_code in {401, 403}
    after = refused(keyed)
    assert {door: after[door] - before[door] for door in after if after[door] != before[door]} == dict.fromkeys(
        asked, 1
    )
    told = keyed.operator.get("/api/v1/system").json()["refused_callers"]
    assert told["revoked"] == sum(count for (_, why), count in after.items() if why == "revoked")


def test_what_is_no_key_is_not_made(keyed: Keyed) -> None:
    for wanted in ({"role": "read", "tenants": []}, {"role": "god", "tenants": ["a"]}, {"role": "read"}):
        problem(keyed.operator.post("/api/v1/keys", json=wanted), 400)
    problem(keyed.operator.post("/api/v1/keys/nothere1/revoke"), 404)


def test_telemetry_needs_a_key_and_speaks_for_its_tenant(keyed: Keyed) -> None:
    body = otlp.traces(otlp.span(number=1), otlp.span({"tenant.id": "globex"}, number=2)).body
    kind = {"content-type": "application/x-protobuf"}
    assert keyed.anyone.post("/v1/traces", content=body, headers=kind).status_code == 401
    assert keyed.key("read", "newcomer").post("/v1/traces", content=body, headers=kind).status_code == 403
    sender = keyed.key("ingest", "newcomer", environment="prod")
    answer = sender.post("/v1/traces", content=body, headers=kind)
    assert ExportTraceServiceResponse.FromString(answer.content).partial_success.rejected_spans == 1
    keyed.served.drain()
    runs = keyed.key("read", "newcomer").get("/api/v1/runs", params={"type": "call,agent,workflow"}).json()["runs"]
    assert {(run["tenant"], run["environment"]) for run in runs} <= {("newcomer", "prod")}
    spans = keyed.served.parts.store.query("SELECT tenant, environment FROM spans WHERE scope_name = 'my.app'")
    assert spans.to_pylist() == [{"tenant": "newcomer", "environment": "prod"}]


RULES = """
version: 1
rules:
  - id: spend
    kind: budget
    metric: spend
    amount: 200
    per: [tenant]
    window: {cumulative: day}
    thresholds: [{severity: warn, at: 0.8}]
  - id: spend-globex
    kind: budget
    metric: spend
    amount: 10
    per: [tenant]
    filters: {tenant: globex}
    window: {cumulative: day}
    thresholds: [{severity: warn, at: 0.8}]
  - id: spend-all
    kind: budget
    metric: spend
    amount: 1000
    per: []
    labels: {team: acme}
    window: {cumulative: day}
    thresholds: [{severity: warn, at: 0.8}]
"""


def test_alerts_of_others_and_alerts_over_all_tenants_are_not_shown() -> None:
    """A rule's standing counts what is shown, not what is there."""
    rules = loads(RULES)
    labels = {"1": ("spend", "acme"), "2": ("spend", "globex"), "3": ("spend-globex", "globex"), "4": ("spend-all", "")}
    states = {"1": "pending", "2": "firing", "3": "firing", "4": "firing"}
    snapshot = {
        "rules": [{"id": rule.id, "state": "firing", "firing": 9, "pending": 9} for rule in rules.rules],
        "alerts": [
            {"id": key, "rule": rule, "state": states[key], "labels": {"tenant": tenant}}
            for key, (rule, tenant) in labels.items()
        ],
        "notifications": [{"alert_id": key} for key in labels],
        "problems": [{"line": 1, "message": "rule globex"}],
        "health": {"last_evaluated": None, "interval_seconds": 5, "rules_file": "/x", "receivers": ["globex-chat"]},
    }
    assert of_tenants(snapshot, rules, None) == snapshot
    shown = of_tenants(snapshot, rules, frozenset({"acme"}))
    assert shown["rules"] == [{"id": "spend", "state": "pending", "firing": 0, "pending": 1}]
    assert [alert["id"] for alert in shown["alerts"]] == ["1"]
    assert shown["notifications"] == [{"alert_id": "1"}]
    assert "globex" not in str(shown)


def test_no_key_is_in_the_log_or_in_the_state(keyed: Keyed, caplog: pytest.LogCaptureFixture) -> None:
    """Neither of good keys nor of refused ones, at the most talkative level."""
    with caplog.at_level(logging.DEBUG):
        client = keyed.key("read", "acme")
        client.get("/api/v1/runs", params={"tenant": "globex"})
        keyed.anyone.get("/api/v1/runs", headers={"authorization": f"Bearer {SECRETS[0][:-1]}x"})
        keyed.anyone.get("/ui-login", params={"token": SECRETS[0]})
    state = b"".join(file.read_bytes() for file in keyed.served.data.glob("state.db*"))
    # The HTTP client of this test has a log of its own.
    log = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]
    for text in SECRETS:
        assert [line for line in log if text[13:-1] in line] == []
        assert text[13:].encode() not in state
