"""docs/filters.md is what the program does: its fields, its examples, its grammar."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from spanhouse.filters import FilterError, parse
from spanhouse.filters import parser as language
from spanhouse.filters.fields import FIGURES, RUN_FIELDS, SPAN_FIELDS
from spanhouse.filters.reference import markdown
from spanhouse_server.cli.commands import cli

PAGE = (Path(__file__).parents[2] / "docs" / "filters.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("title", "fields"), [("runs", RUN_FIELDS), ("spans", SPAN_FIELDS)])
def test_the_page_has_every_field_as_the_program_has_it(title: str, fields: dict[str, object]) -> None:
    table = PAGE.split(f"## Fields of {title}\n\n")[1].split("\n\n")[0].strip()
    assert table == markdown((RUN_FIELDS if title == "runs" else SPAN_FIELDS).values())
    assert len(fields) == len(table.splitlines()) - 2


def test_every_example_of_the_page_can_be_read() -> None:
    [examples] = re.findall(r"\n\n((?:    [^\n]+\n)+)\n`spanhouse filters`", PAGE)
    assert [parse(line.strip()) for line in examples.splitlines()]


def test_the_error_on_the_page_is_the_error() -> None:
    with pytest.raises(FilterError) as caught:
        parse("stop_reson = max_usd")
    first, *rest = str(caught.value).splitlines()
    assert first.startswith("unknown field 'stop_reson': did you mean 'stop_reason'? known are text, run_id, ")
    assert "\n".join(f"    {line}" for line in rest) in PAGE


def test_bounds_and_figures_on_the_page_are_those_of_the_program() -> None:
    assert f"{language.LONGEST:,} characters, {language.MOST_CONDITIONS} conditions and {language.DEEPEST}" in PAGE
    for figures in FIGURES.values():
        assert all(re.search(rf"`(tool|budget)?.*\.{figure}`", PAGE) for figure in figures)


def test_the_command_lists_fields_and_checks_a_filter() -> None:
    def run(*arguments: str, code: int = 0) -> str:
        ended = CliRunner().invoke(cli, ["filters", *arguments])
        assert ended.exit_code == code, ended.output
        return ended.output

    assert "stop_reason" in run()
    assert "span_class" in run("--spans")
    assert run("cost>0.5 AND not(agent=a)") == "cost_usd > 0.5 and not agent = a\n"
    assert "did you mean 'cost'" in run("cots > 1", code=1)
