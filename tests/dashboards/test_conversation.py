from __future__ import annotations

import pytest

from spanhouse_dashboards.conversation import Message, Part, messages

SAID = Message("assistant", (Part("text", "Looking."), Part("tool_call", {"id": 7}, "lookup", "c1")))


@pytest.mark.parametrize(
    "value",
    [
        [
            {
                "role": "assistant",
                "parts": [
                    {"type": "text", "content": "Looking."},
                    {"type": "tool_call", "id": "c1", "name": "lookup", "arguments": {"id": 7}},
                ],
            }
        ],
        {
            "role": "assistant",
            "content": "Looking.",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "lookup", "arguments": '{"id": 7}'}}],
        },
        {
            "messages": [
                {
                    "role": "assistant",
                    "content": [
                        {"type": "text", "text": "Looking."},
                        {"type": "tool_use", "id": "c1", "name": "lookup", "input": {"id": 7}},
                    ],
                }
            ]
        },
    ],
    ids=["opentelemetry", "chat completions", "content blocks"],
)
def test_the_common_shapes_read_as_the_same_message(value: object) -> None:
    assert messages(value, role="assistant") == [SAID]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "tool_call_response", "id": "c1", "response": {"ok": True}},
        {"type": "tool_call_response", "id": "c1", "result": {"ok": True}},
        {"type": "tool_result", "tool_use_id": "c1", "content": '{"ok": true}'},
    ],
)
def test_a_tools_result_is_found_under_each_of_its_names(part: dict[str, object]) -> None:
    assert messages([{"role": "tool", "parts": [part]}], role="user") == [
        Message("tool", (Part("tool_result", {"ok": True}, "", "c1"),))
    ]


def test_system_instructions_are_parts_without_a_role_of_their_own() -> None:
    assert messages([{"type": "text", "content": "Be kind."}], role="system") == [
        Message("system", (Part("text", "Be kind."),))
    ]


@pytest.mark.parametrize("value", [None, "plain text", 7, [], {"order": 1}, [1, 2], [{"order": 1}]])
def test_what_is_no_conversation_is_left_to_be_shown_as_it_is(value: object) -> None:
    assert messages(value, role="user") is None


def test_an_unheard_of_part_is_kept_whole() -> None:
    part = {"type": "hologram", "beam": 3}
    assert messages([{"role": "user", "parts": [part]}], role="user") == [
        Message("user", (Part("other", part, "hologram"),))
    ]


def test_text_that_only_begins_like_json_stays_text() -> None:
    assert messages([{"role": "tool", "content": "{not json"}], role="user") == [
        Message("tool", (Part("tool_result", "{not json"),))
    ]
