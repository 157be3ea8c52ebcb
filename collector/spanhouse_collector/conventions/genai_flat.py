"""Messages spread over numbered attributes: ``<prefix>.0.role``, ``<prefix>.0.tool_calls.0.name`` and so on.

The numbers come from outside, so they order what is there and never size anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from spanhouse_collector.conventions.convention import Messages
from spanhouse_collector.conventions.parts import message
from spanhouse_collector.conventions.readers import as_text, parsed
from spanhouse_collector.wire import Value

_MAX_SEGMENTS: Final = 12


def tree(attributes: Mapping[str, Value], prefix: str) -> dict[str, Any]:
    """Return the attributes under a prefix as nested maps by key segment; of two that collide the first stays."""
    root: dict[str, Any] = {}
    for key, value in attributes.items():
        if not key.startswith(prefix):
            continue
        *path, last = key[len(prefix) :].split(".")
        if len(path) >= _MAX_SEGMENTS:
            continue
        node = root
        for segment in path:
            child = node.setdefault(segment, {})
            if not isinstance(child, dict):
                break
            node = child
        else:
            node.setdefault(last, value)
    return root


def numbered(node: Any) -> list[Any]:  # noqa: ANN401 - a node of the tree
    """Return the children of a node whose names are numbers, in their order."""
    if not isinstance(node, dict):
        return []
    return [node[key] for key in sorted((k for k in node if k.isascii() and k.isdigit()), key=lambda k: (len(k), k))]


def flattened(attributes: Mapping[str, Value], /) -> Messages:
    """Return the messages under ``gen_ai.prompt.N.`` and ``gen_ai.completion.N.``."""
    return Messages(
        input=_messages(numbered(tree(attributes, "gen_ai.prompt.")), "user") or None,
        output=_messages(numbered(tree(attributes, "gen_ai.completion.")), "assistant") or None,
    )


def _messages(nodes: Iterable[Any], role: str) -> list[dict[str, Any]]:
    found = []
    for node in nodes:
        if isinstance(node, dict):
            content = node.get("content")
            found.append(
                message(
                    as_text(node["role"]) if isinstance(node.get("role"), str) else role,
                    parsed(content) if isinstance(content, str) and content[:1] == "[" else content,
                    calls=numbered(node.get("tool_calls")),
                    call_id=node["tool_call_id"] if isinstance(node.get("tool_call_id"), str) else "",
                    finish=node["finish_reason"] if isinstance(node.get("finish_reason"), str) else "",
                )
            )
    return found
