"""What a tool's declared traits make of the policy's verdict, and the review list that updates are put on."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from spanhouse.canonical import args_hash
from spanhouse_runtime.policy import ALLOWLIST_RULE, Decision, Verdict
from spanhouse_runtime.traits import Care, ToolTraits

if TYPE_CHECKING:
    from spanhouse_runtime.guard.calls import ToolAsk
    from spanhouse_runtime.guard.run import GuardedRun

TRAITS_RULE: Final = "traits"
"""The rule of a verdict that a tool's traits made."""


def careful(verdict: Verdict, traits: ToolTraits) -> Verdict:
    """Return the verdict, or one that asks where the tool's traits ask for a person and the policy does not.

    A rule that allows a call is a person's word on it beforehand, and enough for all but deleting and money; the
    allowlist only says that a tool may be used at all.
    """
    care = traits.care
    asks = care is Care.ALWAYS_ASK or (care is Care.ASK and verdict.rule == ALLOWLIST_RULE)
    if verdict.decision is not Decision.ALLOW or not asks:
        return verdict
    always = "always " if care is Care.ALWAYS_ASK else ""
    return Verdict(Decision.ASK, TRAITS_RULE, f"{always}asked: {traits.words()}")


def put_on_review(guarded: GuardedRun, ask: ToolAsk, traits: ToolTraits) -> str:
    """Put a call that was made on the review list, as a ``review`` event; return the entry's id."""
    review_id = secrets.token_hex(8)
    until = datetime.now(UTC) + timedelta(seconds=traits.undo_seconds)
    guarded.run.event(
        "review",
        review_id=review_id,
        state="open",
        tool=ask.tool,
        args_hash=args_hash(ask.arguments),
        call_id=ask.call_id or None,
        action=traits.action,
        reversible=traits.reversible,
        undo=ask.undo,
        until=until.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )
    return review_id
