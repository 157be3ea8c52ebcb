from __future__ import annotations

import pytest

from spanhouse.stop_reasons import StopCode
from spanhouse_dashboards import urls
from spanhouse_dashboards.figures.base import CLASS_COLORS, FAMILY_COLORS
from spanhouse_dashboards.headline import CARDS
from spanhouse_dashboards.meanings import FAMILIES, SPAN_ICONS, STOP_MEANINGS, explain, span_class


def test_every_stop_code_has_a_meaning_and_every_family_a_colour() -> None:
    assert set(STOP_MEANINGS) == set(StopCode)
    assert {family.name for family in FAMILIES} == set(FAMILY_COLORS)
    assert set(SPAN_ICONS) == set(CLASS_COLORS)


def test_a_subject_is_named_in_the_sentence() -> None:
    assert explain("policy_deny:send_email").sentence == "A policy refused send_email, and the run stopped there."
    assert "something unnamed" in explain("policy_deny").sentence


@pytest.mark.parametrize("reason", [None, "", "a_code_of_tomorrow:x"])
def test_a_reason_that_cannot_be_explained_is_unclear_and_no_error(reason: str | None) -> None:
    assert explain(reason).family.name == "unclear"


def test_span_classes_of_either_spelling_are_drawn_and_unheard_of_ones_too() -> None:
    assert [span_class(value) for value in ("llm", "model", "tool", None, "hologram")] == [
        "model",
        "model",
        "tool",
        "other",
        "other",
    ]


def test_each_card_leads_to_runs_by_filters_the_runs_page_knows() -> None:
    for card in CARDS:
        assert urls.runs({"since": "24h"}, **dict(card.behind))["since"] == "24h"


def test_a_link_with_a_filter_the_runs_page_has_not_is_refused() -> None:
    with pytest.raises(KeyError, match="colour"):
        urls.runs({"colour": "red"})


def test_links_leave_out_what_is_not_set_and_mean_all_time_where_no_window_is() -> None:
    assert urls.runs({"agent": None, "tenant": "", "tool": "x"}) == {"since": "all", "tool": "x"}
    assert urls.run("r1") == {"run_id": "r1"}
    assert urls.run("r1", "s1") == {"run_id": "r1", "span_id": "s1"}
