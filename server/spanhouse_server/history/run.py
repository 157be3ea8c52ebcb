"""One made-up run: its spans and its audit events, all from one random generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

from spanhouse import attributes as keys
from spanhouse.canonical import args_hash
from spanhouse.loops import LOOP_LENGTH
from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse_server.history.cast import TOPICS, Agent, Tool
from spanhouse_server.importing.spans import SpanDraft, json_text

PRICES_PER_MILLION = {
    "gpt-4o-mini": (0.15, 0.60),
    "claude-sonnet-4-5": (3.0, 15.0),
    "gpt-4.1": (2.0, 8.0),
    "gemini-2.5-flash": (0.30, 2.50),
}
"""What the sample runs are billed at, in USD a million input and output tokens; reported by them, not looked up."""
MS = 1_000_000


@dataclass
class Event:
    """An audit event to be: name, when, and its own fields."""

    name: str
    time: int
    fields: dict[str, Any]


@dataclass
class SampleRun:
    """A made-up run ready to encode."""

    key: str
    root: SpanDraft
    shared: dict[str, Any]
    children: list[SpanDraft] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


@dataclass
class _Story:
    """What accumulates while a run is told."""

    run: SampleRun
    now: int
    step: int = 0
    cost: float = 0.0
    tokens: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


def tell(
    key: str, agent: Agent, tenant: str, started: datetime, random: Random, *, troubled: bool, newer: bool
) -> SampleRun:
    """Return one run.

    Args:
        key: names the run; its ids derive from it.
        agent: who runs.
        tenant: for whom.
        started: when.
        random: where every choice comes from.
        troubled: whether ``http.get`` is down, so that its callers fail, retry and loop.
        newer: whether the agent's next version runs.
    """
    facts = {
        "order": random.randint(10_000, 99_999),
        "amount": round(random.uniform(8, 240), 2),
        "user": random.randint(1, 400),
        "topic": random.choice(TOPICS),
        "bytes": random.randint(100, 90_000),
        "small": random.randint(1, 11),
    }
    start = int(started.timestamp() * 1e9)
    shared = {
        keys.TENANT: tenant,
        keys.ENVIRONMENT: "prod",
        keys.REQUEST_ID: f"req-{key}",
        keys.SESSION_ID: f"sess-{tenant}-{facts['user']}",
        keys.USER_ID: f"user-{facts['user']}",
        keys.AGENT_NAME: agent.name,
        keys.AGENT_VERSION: agent.next_version if newer else agent.version,
        keys.TASK_TYPE: agent.task_type,
    }
    asked = random.choice(agent.asks).format(**facts)
    root = SpanDraft(
        "run", f"invoke_agent {agent.name}", start, start, {keys.OPERATION: "invoke_agent", keys.INPUT: asked}
    )
    story = _Story(SampleRun(key, root, shared), start)
    story.history.append({"role": "user", "parts": [{"type": "text", "content": asked}]})
    reason = _turns(story, agent, facts, random, troubled=troubled)
    _end(story, agent, facts, random, reason)
    return story.run


def _turns(story: _Story, agent: Agent, facts: Mapping[str, Any], random: Random, *, troubled: bool) -> StopReason:
    for turn in range(random.randint(*agent.turns)):
        tool = _chosen(agent, random)
        _model_call(story, agent, random, tool, facts)
        if story.cost > agent.budget_usd:
            return StopReason(StopCode.MAX_USD, "run")
        ended = _tool_turn(story, agent, tool, facts, random, turn=turn, down=troubled and tool.name == "http.get")
        if ended is not None:
            return ended
    _model_call(story, agent, random, None, facts)
    rare = [StopReason(StopCode.MODEL_ERROR, "rate_limit"), StopReason(StopCode.MAX_STEPS)]
    return random.choices([StopReason(StopCode.FINISH), *rare], [0.98, 0.012, 0.008])[0]


def _chosen(agent: Agent, random: Random) -> Tool:
    """Return the tool of a turn; rare ones give way to the agent's first."""
    tool = random.choice(agent.tools)
    rare = {"transfer_to_human": agent.escalates, "records.delete": 0.3}
    return tool if random.random() < rare.get(tool.name, 1.0) else agent.tools[0]


def _tool_turn(
    story: _Story, agent: Agent, tool: Tool, facts: Mapping[str, Any], random: Random, *, turn: int, down: bool
) -> StopReason | None:
    """Tell one tool call, or the loop it becomes; return how it ended the run, None where it went on."""
    if tool.name == "records.delete":
        _tool_call(story, tool, facts, random, denied=True, failed=False)
        return StopReason(StopCode.POLICY_DENY, tool.name)
    if down and random.random() < 0.5:
        for _ in range(LOOP_LENGTH + random.randint(0, 2)):
            _tool_call(story, tool, facts, random, denied=False, failed=True)
            _model_call(story, agent, random, tool, facts)
        return StopReason(StopCode.LOOP_DETECTED, tool.name)
    # A turn asks for something new each time: equal calls in a row would be a loop.
    asked = {**facts, "topic": f"{facts['topic']} {turn}"} | {k: facts[k] + turn for k in ("order", "small", "user")}
    failed = random.random() * 100 < (80 if down else tool.failing)
    _tool_call(story, tool, asked, random, denied=False, failed=failed)
    if failed and random.random() < 0.2:
        return StopReason(StopCode.TOOL_ERROR_EXHAUSTED, tool.name)
    return StopReason(StopCode.ESCALATED) if tool.name == "transfer_to_human" else None


def _model_call(story: _Story, agent: Agent, random: Random, tool: Tool | None, facts: Mapping[str, Any]) -> None:
    story.step += 1
    start = story.now
    story.now += int(random.lognormvariate(7.0, 0.45)) * MS
    inputs = random.randint(*agent.prompt_tokens) + 180 * story.step
    outputs = random.randint(30, 420)
    cached = int(inputs * random.choice((0.0, 0.0, 0.5, 0.8)))
    price_in, price_out = PRICES_PER_MILLION[agent.model]
    cost = round((inputs * price_in + outputs * price_out) / 1e6, 9)
    story.cost += cost
    story.tokens += inputs + outputs
    if tool is None:
        parts: list[dict[str, Any]] = [{"type": "text", "content": random.choice(agent.answers).format(**facts)}]
    else:
        parts = [
            {
                "type": "tool_call",
                "id": f"call_{story.step}",
                "name": tool.name,
                "arguments": tool.arguments.format(**facts),
            }
        ]
    finish = "stop" if tool is None else "tool_calls"
    reply = {"role": "assistant", "parts": parts, "finish_reason": finish}
    story.run.children.append(
        SpanDraft(
            key=f"model:{story.step}",
            name=f"chat {agent.model}",
            start=start,
            end=story.now,
            attributes={
                keys.OPERATION: "chat",
                keys.PROVIDER: agent.provider,
                keys.REQUEST_MODEL: agent.model,
                keys.RESPONSE_MODEL: agent.model,
                keys.FINISH_REASONS: [finish],
                keys.INPUT_TOKENS: inputs,
                keys.OUTPUT_TOKENS: outputs,
                keys.CACHE_READ_TOKENS: cached,
                keys.COST_USD: cost,
                keys.INPUT_MESSAGES: json_text(story.history),
                keys.OUTPUT_MESSAGES: json_text([reply]),
                keys.STEP: story.step,
                keys.STEP_KIND: "model",
            },
        )
    )
    fields = {
        "model": agent.model,
        "status": "ok",
        "duration_ms": (story.now - start) / MS,
        "input_tokens": inputs,
        "output_tokens": outputs,
    }
    story.run.events.append(Event("model.call", story.now, fields))
    story.history.append({"role": "assistant", "parts": parts})


def _tool_call(
    story: _Story, tool: Tool, facts: Mapping[str, Any], random: Random, *, denied: bool, failed: bool
) -> None:
    story.step += 1
    arguments = tool.arguments.format(**facts)
    hashed = args_hash(arguments)
    start = story.now
    ms = 0.4 if denied else tool.ms * random.lognormvariate(0, 0.35)
    story.now += int(ms * MS)
    decision = "deny" if denied else "allow"
    rule = "deletions need a person" if denied else "allowed tools"
    result = "" if denied else tool.error if failed else tool.result.format(**facts)
    story.run.events.append(
        Event("policy.decision", start, {"tool": tool.name, "args_hash": hashed, "decision": decision, "rule": rule})
    )
    status = "denied" if denied else "error" if failed else "ok"
    event = {"tool": tool.name, "args_hash": hashed, "status": status, "duration_ms": round(ms, 3)}
    story.run.events.append(Event("tool.call", story.now, event))
    story.run.children.append(
        SpanDraft(
            key=f"tool:{story.step}",
            name=f"execute_tool {tool.name}",
            start=start,
            end=story.now,
            attributes={
                keys.OPERATION: "execute_tool",
                keys.TOOL_NAME: tool.name,
                keys.TOOL_CALL_ID: f"call_{story.step - 1}",
                keys.TOOL_ARGUMENTS: arguments,
                keys.TOOL_RESULT: result,
                keys.ARGS_HASH: hashed,
                keys.DECISION: decision,
                keys.POLICY_RULE: rule,
                keys.STEP: story.step,
                keys.STEP_KIND: "tool",
                **({keys.ERROR_CLASS: "timeout" if "504" in result else "unavailable"} if failed else {}),
            },
            error=result if failed else None,
        )
    )
    response = {"type": "tool_call_response", "id": f"call_{story.step - 1}", "response": result or f"denied: {rule}"}
    story.history.append({"role": "tool", "parts": [response]})


def _end(story: _Story, agent: Agent, facts: Mapping[str, Any], random: Random, reason: StopReason) -> None:
    run, root = story.run, story.run.root
    root.end = story.now + 2 * MS
    finished = reason.code is StopCode.FINISH
    succeeded = finished and random.random() < agent.success
    answer = random.choice(agent.answers).format(**facts) if finished else f"I had to stop: {reason}."
    root.attributes |= {
        keys.OUTPUT: answer,
        keys.STOP_REASON: str(reason),
        keys.OUTCOME: "success"
        if succeeded
        else "failure"
        if (finished and random.random() < 0.6) or not finished
        else "unknown",
        keys.STEPS: story.step,
        keys.SPANS_EXPECTED: len(run.children) + 1,
        keys.BUDGET: json_text(
            {
                "max_usd": {"limit": agent.budget_usd, "used": round(story.cost, 6)},
                "max_steps": {"limit": 40, "used": story.step},
            }
        ),
        keys.ESCALATED: True if reason.code is StopCode.ESCALATED else None,
    }
    if not finished and reason.code is not StopCode.ESCALATED:
        root.error = str(reason)
    run.events.insert(0, Event("run.start", root.start, {"task": root.attributes[keys.INPUT]}))
    run.events.append(
        Event("run.end", root.end, {"stop_reason": str(reason), "outcome": root.attributes[keys.OUTCOME]})
    )
