"""A filter means in the store what it says: every one runs, and finds the runs that a plain reading of it finds."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from tests.support.filter_rows import KEYS, NOON, SCORES, TOOLS, Row, filters, holds
from tests.support.rows import rows, run, span

from spanhouse.filters import Node, parse, written
from spanhouse.filters.fields import RUN_FIELDS, SPAN_CLASSES, SPAN_FIELDS, Kind
from spanhouse.filters.nodes import Age, Compare, Name
from spanhouse_storage import Store, migrate, open_store
from spanhouse_storage.reads import RUN_COLUMNS, RunFilter, list_runs
from spanhouse_storage.reads.filters import where, where_steps
from spanhouse_storage.tables import SCHEMAS

WORDS = ["", "a", "A", "refund", "Refund now", "gpt-4o", "it's", 'say "x"', "%_", "\\", "ö", "1"]
NUMBERS = [None, 0, 1, 2, 3]
SECONDS = [None, 0.0, 0.5, 1.0, 2.5]
OWN = {"run_id", "trace_id", "span_id", "tenant", "type", "audit_stored", "stop_code", "complete", "tokens", "text"}


def random_rows(seed: int, count: int) -> list[Row]:
    """Return runs, two of which share a trace, with all that a filter can ask about drawn by chance."""
    dice = random.Random(seed)
    return [_row(dice, number) for number in range(count)]


def _row(dice: random.Random, number: int) -> Row:
    run_id = f"r{number}"
    own = {
        "run_id": run_id,
        "trace_id": f"t{number // 2}",
        "tenant": dice.choice(["acme", "globex"]) if number % 2 == 0 else "acme",
        "type": dice.choice(["agent", "workflow", "call"]),
        "budget": {"max_usd": {"limit": 1.0, "used": dice.choice([0.0, 0.5, 2.0])}} if dice.random() < 0.5 else {},
    }
    drawn = {name: _drawn(dice, name, "runs") for name in RUN_FIELDS if name not in {*OWN, "tool"}}
    found = Row({**drawn, **own}, audit=dice.choice([0, 0, 1, 2]))
    for index in range(dice.randint(0, 2)):
        drawn = {name: _drawn(dice, name, "spans") for name in SPAN_FIELDS if name in SCHEMAS["spans"].names}
        found.spans.append(
            {
                **{name: value for name, value in drawn.items() if name not in OWN},
                **{key: dice.choice(WORDS) for key in ("request_model", "response_model")},
                "trace_id": own["trace_id"],
                "span_id": f"{run_id}-{index}",
                "is_final": dice.random() < 0.8,
                "duration_ns": dice.choice([0, 500_000, 1_000_000, 2_500_000]),
                "attributes": {key: dice.choice(WORDS) for key in KEYS if dice.random() < 0.5},
            }
        )
    for seq in range(dice.randint(0, 3)):
        figures = {"status": dice.choice(["ok", "error", "denied"]), "ms": dice.choice([0.0, 500.0, 1000.0])}
        found.steps.append({"seq": seq, "kind": "tool", "tool": dice.choice(TOOLS), **figures})
    for _ in range(dice.randint(0, 2)):
        figures = {"value": dice.choice(SECONDS), "label": dice.choice(WORDS)}
        found.scores.append({"name": dice.choice(SCORES), **figures})
    return found


def _drawn(dice: random.Random, name: str, table: str) -> Any:  # noqa: PLR0911 - one a kind
    field = (RUN_FIELDS if table == "runs" else SPAN_FIELDS)[name]
    nullable = SCHEMAS[table].field(name).nullable
    if field.choices:
        chosen = dice.choice(SPAN_CLASSES if name == "span_class" else field.choices)
        return f"{chosen}:mail" if name == "stop_reason" and dice.random() < 0.5 else chosen
    match field.kind:
        case Kind.TEXT | Kind.LIST if name == "model" or field.kind is Kind.TEXT:
            return dice.choice(WORDS)
        case Kind.LIST if name != "model":
            return [dice.choice(WORDS[1:]) for _ in range(dice.randint(0, 2))]
        case Kind.TIME:
            return dice.choice([*([None] if nullable else []), NOON, NOON + timedelta(seconds=0.5)])
        case Kind.FLAG:
            return dice.choice([*([None] if nullable else []), True, False])
        case Kind.SECONDS | Kind.MONEY:
            return dice.choice(SECONDS if nullable else SECONDS[1:])
        case _:
            return dice.choice(NUMBERS if nullable else NUMBERS[1:])


def insert(store: Store, given_: list[Row]) -> None:
    """Store the runs; every other one's spans say their run, the others' only their trace."""
    runs, spans, steps, scores, events = [], [], [], [], []
    for number, row in enumerate(given_):
        own = row.run
        key = {"tenant": own["tenant"], "run_id": own["run_id"]}
        budget = json.dumps(own["budget"]) if own["budget"] else ""
        runs.append(run(**{**own, "budget": budget, "stop_code": own["stop_reason"].partition(":")[0]}))
        for one in row.spans:
            resource = {"resource": [("region", one["attributes"]["region"])]} if "region" in one["attributes"] else {}
            kept = [item for item in one["attributes"].items() if item[0] != "region"]
            columns = {**one, "attributes": kept, **resource, "tenant": own["tenant"], "run_hint": own["run_id"]}
            spans.append(span(**columns))
        times = {"run_started_at": own["started_at"], "run_ended_at": own["ended_at"]}
        steps += [{**key, **times, "version": 1, **step} for step in row.steps]
        for index, score in enumerate(row.scores):
            named = {"run_id": own["run_id"]}
            scores.append({"tenant": own["tenant"], "score_id": f"{number}-{index}", "version": 1, **named, **score})
        events += [{**key, "stream": own["run_id"], "seq": seq, "version": 1} for seq in range(row.audit)]
    for table, content in (("runs", runs), ("spans", spans), ("steps", steps), ("scores", scores)):
        store.insert(table, rows(table, *content), table)
    store.insert("audit_events", rows("audit_events", *events), "events")


ROWS = random_rows(5, 60)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(tmp_path_factory.mktemp("filters") / "store")
    migrate(store)
    try:
        insert(store, ROWS)
        yield store
    finally:
        store.close()


def found(store: Store, node: Node) -> list[str]:
    condition, parameters = where(RunFilter(filter=node), lone_calls=True)
    table = store.query(f"SELECT run_id FROM runs FINAL WHERE {condition}", parameters)
    return sorted(table.column("run_id").to_pylist())


@given(node=filters())
@example(node=parse('tool("mail").errors = 0 and not span(text ~ refund)'))
@example(node=parse("tool is null and complete is null or audit_stored < 1"))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_store_finds_what_a_plain_reading_finds(filled: Store, node: Node) -> None:
    expected = sorted(row.run["run_id"] for row in ROWS if holds(node, row))
    assert found(filled, node) == expected, written(node)


@pytest.mark.parametrize("name", RUN_FIELDS)
def test_every_field_of_runs_runs_with_every_operator(filled: Store, name: str) -> None:
    assert_every_operator_runs(filled, name, "{}")


@pytest.mark.parametrize("name", SPAN_FIELDS)
def test_every_field_of_spans_runs_with_every_operator(filled: Store, name: str) -> None:
    assert_every_operator_runs(filled, name, "span({})")


def assert_every_operator_runs(store: Store, name: str, around: str) -> None:
    field = (SPAN_FIELDS if "span" in around else RUN_FIELDS)[name]
    value = {Kind.TIME: "2026-03-01T12:00:00Z", Kind.FLAG: "true"}.get(field.kind, "1")
    value = next(iter(field.choices), value)
    forms = {"in": f"in ({value}, {value})", "is": "is null"}
    parts = [around.format(f"{name} {forms.get(sign, f'{sign} {value}')}") for sign in field.kind.operators]
    found(store, parse(" or ".join(parts)))


@pytest.mark.parametrize(
    "text",
    ["'", '"', "\\", "'; DROP TABLE runs; --", "{f_0:String}", "$where", "@", "%s", "\0", "') OR 1 = 1 --", "`", "\n"],
)
def test_no_value_becomes_a_statement(filled: Store, text: str) -> None:
    """The whole filter is true of no run: a value that were read as SQL would change that, or fail."""
    quoted = json.dumps(text, ensure_ascii=False)
    for subject in ("agent", "model", "tool", "stop_reason !~ a and text", f"attr({quoted})", f"score({quoted})"):
        sign = "~" if subject.endswith("text") else "="
        found(filled, parse(f"{subject} {sign} {quoted}"))
    assert found(filled, parse(f"run_id = {quoted} or tool({quoted}).calls > 0 or budget({quoted}).used > 0")) == []
    assert filled.query("SELECT count() AS n FROM runs").to_pylist() == [{"n": len(ROWS)}]


def test_the_fields_are_those_the_store_has_and_those_it_derives() -> None:
    derived = {"text", "tool", "tokens", "complete"}
    assert set(RUN_FIELDS) - derived == set(RUN_COLUMNS) - {"budget", "computed_at", "received_at"}


def test_lone_calls_are_left_out_unless_the_filter_is_about_types(filled: Store) -> None:
    def listed(text: str) -> set[str]:
        page = list_runs(filled, RunFilter(filter=parse(text)), limit=1000)
        return set(page.rows.column("type").to_pylist())

    assert listed("steps >= 0") == {"agent", "workflow"}
    assert listed("type = call") == {"call"}
    assert listed("steps >= 0 or type = call") == {"agent", "workflow", "call"}


def test_a_score_of_an_answer_is_one_of_the_run_that_got_it(filled: Store) -> None:
    store = filled
    key = {"tenant": "acme", "version": 1}
    store.insert("runs", rows("runs", run("scored", trace_id="ts"), run("other", trace_id="to")), "scored")
    store.insert("spans", rows("spans", span("ts", "s", response_id="resp-1")), "scored")
    store.insert("scores", rows("scores", {**key, "score_id": "x", "name": "deep", "response_id": "resp-1"}), "x")
    store.insert("scores", rows("scores", {**key, "score_id": "y", "name": "traced", "trace_id": "to"}), "y")
    try:
        assert found(store, parse('score("deep") is not null')) == ["scored"]
        assert found(store, parse('score("traced") is not null')) == ["other"]
    finally:
        for table, condition in (("runs", "trace_id IN ('ts', 'to')"), ("spans", "trace_id = 'ts'")):
            store.execute(f"DELETE FROM {table} WHERE {condition}")


def test_a_window_narrows_the_reads_inside_and_changes_no_answer(filled: Store) -> None:
    node = parse("tool = mail or span(ms >= 0) or complete = false")
    for time in ("started_at", "ended_at"):
        wide, parameters = where(RunFilter(filter=node, since=datetime(2000, 1, 1)), time=time)  # noqa: DTZ001
        narrow, others = where(RunFilter(filter=node))
        statement = "SELECT count() AS n FROM runs FINAL WHERE isNotNull(ended_at) AND {}"
        assert (
            filled.query(statement.format(wide), parameters).to_pylist()
            == filled.query(statement.format(narrow), others).to_pylist()
        )


def test_a_filter_narrows_the_calls_that_money_is_counted_of(filled: Store) -> None:
    condition, parameters = where_steps(RunFilter(filter=parse('tool("mail").calls > 0'), agent="a"))
    table = filled.query(f"SELECT uniqExact(run_id) AS n FROM steps FINAL WHERE {condition}", parameters)
    assert table.to_pylist()[0]["n"] == 0


def test_an_age_that_nobody_resolved_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match="must be resolved"):
        where(RunFilter(filter=Compare(Name("started_at"), ">", Age(1.0))))


def test_a_window_over_ends_reads_the_spans_of_its_runs_alone(filled: Store) -> None:
    """From the start of the earliest run that ended in it; without such a run the bound is the beginning of time."""
    node = parse("span(ms >= 0) or span(ms is null)")
    everything = found(filled, node)
    for since in (NOON - timedelta(days=1), NOON, NOON + timedelta(days=3_000)):
        condition, parameters = where(RunFilter(filter=node, since=since), time="ended_at", lone_calls=True)
        statement = f"SELECT run_id FROM runs FINAL WHERE {condition}"
        inside = filled.query(statement, parameters).column("run_id").to_pylist()
        ended = [row.run for row in ROWS if row.run["ended_at"] is not None and row.run["ended_at"] >= since]
        assert sorted(inside) == sorted({run["run_id"] for run in ended} & set(everything))
