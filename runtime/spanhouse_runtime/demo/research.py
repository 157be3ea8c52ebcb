"""Agents that read: one spends its budget, one goes in circles, one meets a model that is rate limited."""

from __future__ import annotations

from typing import Any

from spanhouse_runtime.agent import Agent
from spanhouse_runtime.demo.scenario import CLAUDE_OPUS, GPT_4O, GPT_4O_MINI, Case, Scenario, Stage
from spanhouse_runtime.demo.script import Line, scripted
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.tools import Function

_QUERIES = (
    "heat pump subsidies Germany 2026",
    "heat pump subsidies France 2026",
    "heat pump installed cost per kW Europe",
    "air source heat pump seasonal performance field study",
    "heat pump grid load winter peak study",
    "heat pump installer shortage Europe",
    "heat pump resale value of houses",
    "heat pump noise regulation comparison",
)
_PASSAGE = (
    "The programme covers up to 70 percent of the eligible cost, with a base rate of 30 percent and bonuses for low "
    "income, early replacement and natural refrigerants; applications are filed before the contract takes effect. "
)


class RateLimitError(Exception):
    """What a provider's client raises on HTTP 429."""

    status_code = 429


def _search_tool(stage: Stage) -> Function:
    def web_search(query: str, results: int = 5) -> list[dict[str, Any]]:
        """Search the web and return the text of the best results."""
        stage.work(0.35)
        return [
            {"title": f"{query} ({number})", "url": f"https://reports.example/{number}", "text": _PASSAGE * 4}
            for number in range(1, results + 1)
        ]

    return web_search


def _max_usd(stage: Stage) -> Case:
    def line(number: int) -> Line:
        return ("web_search", {"query": _QUERIES[number % len(_QUERIES)]})

    agent = Agent(
        "research-agent",
        scripted(stage, CLAUDE_OPUS, line, cached=False),
        [_search_tool(stage)],
        limits=Limits(max_usd=0.35, max_output_tokens=400),
        instructions="You are a research analyst. Search until you can name three sources for every claim.",
        version="0.9.2",
        price=CLAUDE_OPUS[2],
    )
    return Case(agent, "Compare what a heat pump costs a family in Germany and in France, with sources.")


def _loop(stage: Stage) -> Case:
    def fetch_page(url: str) -> dict[str, Any]:
        """Return the text of a web page."""
        stage.work(0.15)
        return {"url": url, "status": 200, "text": "Please enable JavaScript to see the prices."}

    def line(_: int) -> Line:
        return ("fetch_page", {"url": "https://shop.example/prices?page=1"})

    agent = Agent(
        "scraper-agent",
        scripted(stage, GPT_4O_MINI, line),
        [fetch_page],
        instructions="You read prices from web pages and return them as a table.",
        version="2.0.1",
        price=GPT_4O_MINI[2],
    )
    return Case(agent, "Read all prices from https://shop.example/prices.")


def _model_error(stage: Stage) -> Case:
    lines: list[Line] = [
        ("web_search", {"query": _QUERIES[0], "results": 2}),
        RateLimitError("429: tokens per minute exceeded for this organisation; retry after 20 s"),
    ]
    agent = Agent(
        "research-agent",
        scripted(stage, GPT_4O, lines),
        [_search_tool(stage)],
        instructions="You are a research analyst.",
        version="0.9.3",
        price=GPT_4O[2],
    )
    return Case(agent, "Which heat pump subsidies apply in Bavaria?")


SCENARIOS = (
    Scenario("max-usd", "max_usd", "a budget reached after several searches", "research", "acme", "u-1007", _max_usd),
    Scenario(
        "loop",
        "loop_detected:fetch_page",
        "one call over and over: warned, then stopped",
        "scrape",
        "globex",
        "u-7731",
        _loop,
    ),
    Scenario(
        "model-error",
        "model_error:rate_limit",
        "the provider refuses the call",
        "research",
        "globex",
        "u-7731",
        _model_error,
    ),
)
