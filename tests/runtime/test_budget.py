"""Budgets: what is reserved and settled, what is refused, and that no interleaving passes a limit."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spanhouse.errors import ConfigurationError
from spanhouse.stop_reasons import StopCode
from spanhouse_runtime.budget import BudgetLedger, BudgetRefused, Reservation, ledger_for
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.money import Price, nano_usd, usd

USD, TOKENS, STEPS = StopCode.MAX_USD, StopCode.MAX_TOKENS, StopCode.MAX_STEPS

DEFAULTS = {
    "max_steps": 20,
    "max_tool_calls": 100,
    "max_seconds": 300.0,
    "max_usd": None,
    "max_tokens": None,
    "max_output_tokens": 4_000,
    "tool_timeout_seconds": 30.0,
    "tool_result_bytes": 65_536,
    "equal_failures": 3,
    "warn_at": 0.8,
}


def test_the_defaults_are_the_published_table() -> None:
    assert Limits().model_dump() == DEFAULTS


@pytest.mark.parametrize("wrong", [{"max_steps": 0}, {"max_usd": -1}, {"max_usd": float("nan")}, {"max_cost": 1}])
def test_a_limit_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate(wrong)


def test_a_call_that_could_pass_the_limit_is_refused_before_it_is_made() -> None:
    ledger = BudgetLedger({USD: 100})
    ledger.settle(ledger.reserve({USD: 80}), {USD: 75})
    with pytest.raises(BudgetRefused) as refused:
        ledger.reserve({USD: 26})
    assert str(refused.value.reason) == "max_usd"
    assert (refused.value.limit, refused.value.used, refused.value.asked) == (100, 75, 26)
    ledger.reserve({USD: 25})


def test_a_reservation_is_all_or_nothing() -> None:
    ledger = BudgetLedger({USD: 100, TOKENS: 10})
    with pytest.raises(BudgetRefused) as refused:
        ledger.reserve({USD: 50, TOKENS: 11})
    assert str(refused.value.reason) == "max_tokens"
    assert ledger.reserved(USD) == 0


def test_a_call_dearer_than_reserved_is_booked_as_it_was_and_ends_the_spending() -> None:
    ledger = BudgetLedger({USD: 100, StopCode.MAX_TOOL_CALLS: 5})
    ledger.settle(ledger.reserve({USD: 90}), {USD: 130})
    assert ledger.report()["max_usd"]["used"] == pytest.approx(130e-9)
    with pytest.raises(BudgetRefused, match="max_usd"):
        ledger.reserve({StopCode.MAX_TOOL_CALLS: 1})
    with pytest.raises(BudgetRefused, match="max_usd"):
        ledger.check()


def test_each_limit_warns_once_at_eighty_percent() -> None:
    ledger = BudgetLedger({STEPS: 10, TOKENS: 100})
    for _ in range(7):
        ledger.settle(ledger.reserve({STEPS: 1}))
    assert ledger.newly_near() == []
    ledger.settle(ledger.reserve({STEPS: 1}))
    assert [near.code for near in ledger.newly_near()] == [STEPS]
    ledger.settle(ledger.reserve({STEPS: 1, TOKENS: 80}))
    assert [near.code for near in ledger.newly_near()] == [TOKENS]
    assert ledger.newly_near() == []


def test_time_is_up_at_the_limit_and_never_runs_back() -> None:
    ledger = ledger_for(Limits(max_seconds=2))
    ledger.elapsed(1_999)
    ledger.elapsed(5)
    ledger.check()
    assert ledger.report()["max_seconds"] == {"limit": 2.0, "used": 1.999}
    ledger.elapsed(2_000)
    with pytest.raises(BudgetRefused, match="max_seconds"):
        ledger.check()


def test_a_reservation_is_closed_once() -> None:
    ledger = BudgetLedger({USD: 100})
    reservation = ledger.reserve({USD: 10})
    ledger.release(reservation)
    with pytest.raises(ValueError, match="settled or released already"):
        ledger.settle(reservation)
    assert ledger.reserved(USD) == 0


def test_amounts_below_zero_and_names_that_are_no_limits_are_refused() -> None:
    ledger = BudgetLedger({USD: 100})
    for amounts in ({USD: -1}, {StopCode.FINISH: 1}):
        with pytest.raises(ValueError, match="cannot book"):
            ledger.reserve(amounts)


def test_limits_that_are_not_set_are_counted_but_not_reported() -> None:
    ledger = ledger_for(Limits())
    ledger.settle(ledger.reserve({USD: 7}))
    assert ledger.used(USD) == 7
    assert not ledger.has_limit(USD)
    assert set(ledger.report()) == {"max_steps", "max_tool_calls", "max_seconds"}


actions = st.lists(
    st.tuples(st.sampled_from(["reserve", "settle", "release"]), st.integers(0, 60), st.integers(0, 100)), max_size=60
)


@given(limit=st.integers(0, 200), steps=actions)
def test_used_and_reserved_never_pass_the_limit_and_nothing_stays_reserved(
    limit: int, steps: list[tuple[str, int, int]]
) -> None:
    """For calls that settle for at most what they reserved, against a plain model of the books."""
    ledger = BudgetLedger({USD: limit})
    opened: list[tuple[Reservation, int]] = []
    spent = 0
    for action, amount, share in steps:
        if action == "reserve":
            held = sum(size for _, size in opened)
            if spent + held + amount <= limit:
                opened.append((ledger.reserve({USD: amount}), amount))
            else:
                with pytest.raises(BudgetRefused):
                    ledger.reserve({USD: amount})
        elif opened:
            reservation, size = opened.pop(amount % len(opened))
            if action == "settle":
                ledger.settle(reservation, {USD: size * share // 100})
                spent += size * share // 100
            else:
                ledger.release(reservation)
        assert ledger.used(USD) == spent
        assert ledger.used(USD) + ledger.reserved(USD) <= limit
    for reservation, _ in opened:
        ledger.release(reservation)
    assert ledger.reserved(USD) == 0


def test_threads_racing_for_one_budget_never_spend_more_than_it() -> None:
    ledger = BudgetLedger({USD: 1_000})
    granted: list[int] = []
    start = threading.Barrier(8)

    def spend() -> None:
        start.wait()
        for _ in range(100):
            try:
                reservation = ledger.reserve({USD: 3})
            except BudgetRefused:
                continue
            ledger.settle(reservation, {USD: 3})
            granted.append(3)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == ledger.used(USD) == 999
    assert ledger.reserved(USD) == 0


@given(st.decimals(min_value=0, max_value=10_000, places=6))
def test_money_is_never_rounded_in_the_spenders_favour(amount: Decimal) -> None:
    assert Decimal(nano_usd(amount)) / 1_000_000_000 >= amount
    assert Decimal(nano_usd(amount)) / 1_000_000_000 - amount < Decimal("1e-9")


def test_a_tenth_of_a_dollar_is_a_tenth() -> None:
    assert nano_usd(0.1) == 100_000_000
    assert usd(nano_usd(0.25)) == 0.25


@pytest.mark.parametrize("wrong", [-0.01, float("inf"), float("nan")])
def test_money_that_is_no_amount_is_refused(wrong: float) -> None:
    with pytest.raises(ConfigurationError, match="finite number of dollars"):
        nano_usd(wrong)


def test_a_price_counts_cached_tokens_once_at_their_own_price() -> None:
    price = Price(input=2.50, output=10.00, cached_input=1.25)
    assert price.cost(1_000_000, 0) == nano_usd(2.50)
    assert price.cost(1_000_000, 100_000, cached_tokens=400_000) == nano_usd(1.5 + 0.5 + 1.0)
    assert Price(input=0.0375, output=0.15).cost(1, 0) == 38
