"""The made-up agents of the sample history: what they are asked, which tools they call, how often they fail."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tool:
    """A tool, and how it behaves: typical time, and how many of a hundred calls fail."""

    name: str
    ms: float
    failing: float
    arguments: str
    result: str
    error: str = "Error: upstream answered 503"


@dataclass(frozen=True)
class Agent:
    """An agent of the sample history."""

    name: str
    version: str
    next_version: str
    provider: str
    model: str
    task_type: str
    share: float
    turns: tuple[int, int]
    prompt_tokens: tuple[int, int]
    tools: tuple[Tool, ...]
    asks: tuple[str, ...]
    answers: tuple[str, ...]
    success: float
    escalates: float
    budget_usd: float


LOOKUP = Tool(
    "lookup_order",
    140,
    1.5,
    '{{"order_id": "{order}"}}',
    '{{"order_id": "{order}", "status": "delivered", "total": {amount}}}',
)
REFUND = Tool(
    "issue_refund",
    420,
    3.0,
    '{{"order_id": "{order}", "amount": {amount}}}',
    '{{"refund_id": "re_{order}", "amount": {amount}}}',
)
MAIL = Tool("send_email", 310, 1.0, '{{"to": "user{user}@example.com", "template": "status"}}', '{{"queued": true}}')
HANDOVER = Tool("transfer_to_human", 60, 0.0, '{{"summary": "customer asks for a person"}}', '{{"queue": "tier-2"}}')
SEARCH = Tool(
    "web.search",
    780,
    4.0,
    '{{"query": "{topic}", "limit": 5}}',
    '{{"hits": 5, "first": "https://example.com/{order}"}}',
)
FETCH = Tool(
    "http.get",
    950,
    7.0,
    '{{"url": "https://example.com/{order}"}}',
    '{{"status": 200, "bytes": {bytes}}}',
    "Error: 504 gateway timeout",
)
NOTES = Tool("notes.write", 35, 0.2, '{{"section": "{topic}"}}', '{{"ok": true}}')
QUERY = Tool(
    "warehouse.query",
    1900,
    5.0,
    '{{"sql": "select count(*) from orders where day = current_date - {small}"}}',
    '{{"rows": 1, "value": {bytes}}}',
    'Error: syntax error at or near "form"',
)
CHART = Tool("chart.render", 260, 1.0, '{{"kind": "line", "points": {bytes}}}', '{{"url": "chart-{order}.png"}}')
LEDGER = Tool("ledger.post", 190, 1.5, '{{"invoice": "inv-{order}", "amount": {amount}}}', '{{"entry": {bytes}}}')
DELETE = Tool("records.delete", 90, 0.0, '{{"table": "customers", "where": "id = {order}"}}', "")

CAST = (
    Agent(
        "support-agent",
        "2.3.0",
        "2.4.0",
        "openai",
        "gpt-4o-mini",
        "support",
        0.44,
        (2, 7),
        (900, 2400),
        (LOOKUP, REFUND, MAIL, HANDOVER),
        (
            "Where is my order {order}?",
            "I want my money back for order {order}, it arrived broken.",
            "Please change the address of order {order}.",
        ),
        (
            "Order {order} was delivered; I have mailed you the details.",
            "I have refunded {amount} USD for order {order}.",
        ),
        0.84,
        0.11,
        0.05,
    ),
    Agent(
        "research-agent",
        "0.9.1",
        "0.9.2",
        "anthropic",
        "claude-sonnet-4-5",
        "research",
        0.22,
        (4, 14),
        (2500, 9000),
        (SEARCH, FETCH, FETCH, NOTES),
        ("Summarise what changed in {topic} this month.", "Compare the three best known options for {topic}."),
        ("Here is a summary of {topic} with five sources.", "Of the three options for {topic}, the second fits best."),
        0.76,
        0.03,
        0.39,
    ),
    Agent(
        "analytics-agent",
        "1.1.0",
        "1.2.0",
        "openai",
        "gpt-4.1",
        "analysis",
        0.20,
        (3, 9),
        (1800, 5200),
        (QUERY, QUERY, CHART),
        ("How many orders did we ship {small} days ago?", "Plot the weekly revenue of the last {small} months."),
        ("We shipped {bytes} orders.", "The chart is ready; revenue grew in most weeks."),
        0.81,
        0.02,
        0.40,
    ),
    Agent(
        "billing-agent",
        "3.0.2",
        "3.0.2",
        "google",
        "gemini-2.5-flash",
        "billing",
        0.14,
        (2, 6),
        (700, 1900),
        (LOOKUP, LEDGER, DELETE),
        ("Post the invoice for order {order}.", "Clear the duplicate invoice of order {order}."),
        ("The invoice for order {order} is posted.", "The duplicate is gone."),
        0.90,
        0.04,
        0.10,
    ),
)
TENANTS = (("acme", 0.5), ("globex", 0.3), ("initech", 0.2))
TOPICS = ("battery chemistry", "container shipping", "payment fraud", "heat pumps", "open telemetry")
