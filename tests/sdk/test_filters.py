"""The filter language: what is written is read, what is read is written the same way, and what is wrong is shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.filter_rows import filters

from spanhouse.filters import FilterError, expression_of, mentions, parse, resolved, written
from spanhouse.filters.fields import RUN_FIELDS, SPAN_FIELDS, Field
from spanhouse.filters.nodes import (
    LONGEST_AGE,
    Age,
    And,
    AnySpan,
    Attr,
    Compare,
    Figure,
    IsNull,
    Name,
    Node,
    Not,
    OneOf,
    Or,
    Score,
)


@given(filters())
def test_what_is_written_is_read_as_the_same_filter(node: Node) -> None:
    assert parse(written(node)) == node
    assert written(parse(written(node))) == written(node)


@given(st.sampled_from(["agent", "stop_subject", "models"]), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_can_be_a_value(name: str, text: str) -> None:
    node = Compare(Name(name), "=", text)
    assert parse(written(node)) == node


@given(st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0))
@pytest.mark.parametrize("name", ["steps", "cost_usd", "run_seconds"])
def test_any_number_can_be_a_value(name: str, number: float) -> None:
    node = Compare(Name(name), ">", number)
    assert parse(written(node)) == node
    assert parse(written(AnySpan(Compare(Name("ms"), "<", number)))) == AnySpan(Compare(Name("ms"), "<", number))


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2261, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - zoned below
    | st.floats(0, LONGEST_AGE).map(lambda seconds: Age(round(seconds, 6)))
)
def test_any_time_and_age_can_be_a_value(value: datetime | Age) -> None:
    node = Compare(Name("started_at"), ">=", value)
    assert parse(written(node)) == node


@given(st.text(max_size=60) | st.text("aot \"'()=<>!~.,\\-1{}$%;/*", max_size=40))
def test_whatever_is_typed_is_read_or_refused_with_a_place(text: str) -> None:
    error = refusal(text)
    if error is not None:
        assert 0 <= error.position <= len(text)
        assert error.caret.count("\n") == 1
        assert error.caret.endswith("^")


def refusal(text: str) -> FilterError | None:
    try:
        parse(text)
    except FilterError as error:
        return error
    return None


COST = Name("cost_usd")


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("stop_reason=max_usd", Compare(Name("stop_reason"), "=", "max_usd")),
        ("stop_reason = policy_deny:send_email", Compare(Name("stop_reason"), "=", "policy_deny:send_email")),
        ("cost>0.5", Compare(COST, ">", 0.5)),
        ("cost > $0.50", Compare(COST, ">", 0.5)),
        ("cost > 0.5usd", Compare(COST, ">", 0.5)),
        ("duration > 2m", Compare(Name("run_seconds"), ">", 120.0)),
        ("run_seconds > 1h30m", Compare(Name("run_seconds"), ">", 5400.0)),
        ("run_seconds > 90", Compare(Name("run_seconds"), ">", 90.0)),
        ("tokens >= 10k", Compare(Name("tokens"), ">=", 10_000.0)),
        ("started_at > 24h", Compare(Name("started_at"), ">", Age(86_400.0))),
        ("started < 2026-01-31", Compare(Name("started_at"), "<", datetime(2026, 1, 31, tzinfo=UTC))),
        (
            "ended < 2026-01-31T12:00:00+02:00",
            Compare(Name("ended_at"), "<", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ),
        ("escalated", Compare(Name("escalated"), "=", True)),
        ("not escalated", Not(Compare(Name("escalated"), "=", True))),
        ("completed = no", Compare(Name("completed"), "=", False)),
        ("cost is null", IsNull(COST)),
        ("cost IS NOT NULL", IsNull(COST, negated=True)),
        ("agent in (a, 'b c')", OneOf(Name("agent"), ("a", "b c"))),
        ('agent not in ("d,e")', OneOf(Name("agent"), ("d,e",), negated=True)),
        (r'agent = "a\"b\u0041\n"', Compare(Name("agent"), "=", 'a"bA\n')),
        ('tool("http.get").errors > 2', Compare(Figure("tool", "http.get", "errors"), ">", 2.0)),
        ('tool("x").seconds > 2m', Compare(Figure("tool", "x", "seconds"), ">", 120.0)),
        ('budget("max_usd").used >= 1', Compare(Figure("budget", "max_usd", "used"), ">=", 1.0)),
        ('score("kind") < .5', None),
        ('score("kind") < 0.5', Compare(Score("kind"), "<", 0.5)),
        ('score("kind") = "yes"', Compare(Score("kind"), "=", "yes")),
        ('attr("k") = "2"', Compare(Attr("k"), "=", "2")),
        ('attr("k") = 2', Compare(Attr("k"), "=", 2.0)),
        ('attr("k") = true', Compare(Attr("k"), "=", "true")),
        ('attr("k") ~ 2', Compare(Attr("k"), "~", "2")),
        ("span(output_bytes > 64KiB)", AnySpan(Compare(Name("output_bytes"), ">", 65_536.0))),
        ("span(ms > 2s)", AnySpan(Compare(Name("ms"), ">", 2_000.0))),
        (
            "span(class = llm and model ~ gpt)",
            AnySpan(And((Compare(Name("span_class"), "=", "llm"), Compare(Name("model"), "~", "gpt")))),
        ),
        (
            "a = 1",
            None,
        ),
        (
            "agent = a or agent = b and not (cost > 1 or cost < 0)",
            Or(
                (
                    Compare(Name("agent"), "=", "a"),
                    And(
                        (
                            Compare(Name("agent"), "=", "b"),
                            Not(Or((Compare(COST, ">", 1.0), Compare(COST, "<", 0.0)))),
                        )
                    ),
                )
            ),
        ),
    ],
)
def test_a_filter_is_read_as_it_is_meant(text: str, node: Node | None) -> None:
    if node is None:
        with pytest.raises(FilterError):
            parse(text)
    else:
        assert parse(text) == node


@pytest.mark.parametrize(
    ("text", "reason", "place"),
    [
        ("", "the filter is empty", ""),
        ("stop_reson = max_usd", "unknown field 'stop_reson': did you mean 'stop_reason'?", "stop_reson"),
        ("Agent = a", "unknown field 'Agent': did you mean 'agent'?", "Agent"),
        ("stop_reason = max_us", "stop_reason is never 'max_us': did you mean 'max_usd'?", "max_us"),
        ("status in (ended, runing)", "did you mean 'running'?", "runing"),
        ("cost ~ 3", "cannot be compared with ~: use = != > >= < <= in (…) is null", "~"),
        ("text = a", "use ~ !~", "="),
        ("cost > abc", "'abc' is no value of cost_usd: write US dollars, such as 0.5 or $0.50", "abc"),
        ("cost > 1e999", "the number is too large", "1e999"),
        ("started_at > yesterday", "an age such as 24h", "yesterday"),
        ("agent", "agent needs an operator: = != ~ !~ in (…) is null", ""),
        ("agent =", "a value is missing", ""),
        ("agent = and", "'and' is no value here", "and"),
        ('agent = "x', "the quotes are not closed", '"x'),
        ("(agent = x", "a closing parenthesis is missing", ""),
        ("agent = x cost > 1", "'cost' cannot follow a condition", "cost"),
        ("agent = x and", "the filter ends where a condition must begin", ""),
        ("tool(x).calls > 1", 'tool(…) takes a text in quotes, such as tool("name")', "x).calls"),
        ('tool("x") > 1', "must be followed by one of .calls .errors .denials .seconds", ">"),
        ('tool("x").cals > 1', "unknown figure 'cals' of tool: did you mean 'calls'?", "cals"),
        ("span(agent = a and span(ms > 1))", "unknown field of spans 'span'", "span"),
        ("span(cost_us > 1)", "unknown field of spans 'cost_us': did you mean 'cost_usd'?", "cost_us"),
        ("agent is x", "after is stands null or not null", "x"),
        ("agent in a", "after in stands a list in parentheses", "a"),
        ('attr("k") > "a"', "texts have no order", '"a"'),
        (r'agent = "\ud800"', "half of a surrogate pair", r'"\ud800"'),
        ("not " * 50 + "escalated", "nested more than 40 deep", "not"),
        (" or ".join(["escalated"] * 201), "more than 200 conditions", "escalated"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_what_may_stand_there(text: str, reason: str, place: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert reason in caught.value.reason
    assert text[caught.value.position :].startswith(place)
    assert not place or caught.value.length == len(place)


def test_the_caret_stands_under_what_is_wrong_in_its_line() -> None:
    with pytest.raises(FilterError) as caught:
        parse("agent = a\n  and stop_reson = b")
    assert caught.value.caret == "    and stop_reson = b\n        ^^^^^^^^^^"
    assert str(caught.value).startswith("unknown field 'stop_reson'")


def test_a_filter_too_long_to_be_meant_is_refused() -> None:
    with pytest.raises(FilterError, match="the longest has 8,000"):
        parse("agent = " + "a" * 8_000)


def test_ages_become_moments() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    node = resolved(parse("not (started_at > 24h or agent = a) and span(start > 1h)"), now)
    assert written(node) == (
        "not (started_at > 2026-02-28T00:00:00Z or agent = a) and span(start > 2026-02-28T23:00:00Z)"
    )
    assert resolved(Compare(Name("started_at"), ">", Age(1e12)), now).value.year == 1900  # type: ignore[union-attr]
    assert now - timedelta(days=1) == datetime(2026, 2, 28, tzinfo=UTC)


def test_simple_filters_are_conditions_of_the_language() -> None:
    given_ = {"agent": ["a", "b,c"], "tool": "x", "escalated": "false", "text": "refund", "model": None, "task": ""}
    found = expression_of(given_)
    assert found is not None
    assert written(found) == 'agent in (a, "b,c") and tool = x and escalated = false and text ~ refund'
    assert expression_of({}) is None
    with pytest.raises(KeyError):
        expression_of({"agnet": "a"})


def test_a_condition_on_spans_says_nothing_of_the_run() -> None:
    assert mentions(parse("agent = a or not type = call"), "type")
    assert not mentions(parse("span(name = type)"), "name")


@pytest.mark.parametrize("fields", [RUN_FIELDS, SPAN_FIELDS])
def test_no_two_fields_share_a_name(fields: dict[str, Field]) -> None:
    names = [name for field in fields.values() for name in (field.name, *field.aliases)]
    assert len(names) == len(set(names))
