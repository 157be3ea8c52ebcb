"""Policies in Cedar behind the same interface as ours. Needs the extra ``cedar``: ``pip install "spanhouse[cedar]"``.

A call is the request whether ``User::"ann"``, in ``Role::"clerk"``, may ``Action::"call"`` the ``Tool::"refund"``. Its
context has ``tenant``, ``agent``, ``run_id``, ``declared`` (what the tool does to the world), ``at`` (seconds since
1970), ``arguments``, and ``resources``: paths and URLs in their one spelling. Numbers with a point are decimals, others
are longs. A permit with ``@decision("ask")`` asks a person.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal, Self

from spanhouse.errors import ConfigurationError
from spanhouse_runtime.policies import resources
from spanhouse_runtime.policy import ALWAYS_ASK, ALWAYS_ASK_RULE, DEFAULT_RULE, NOBODY, Caller, Decision, Verdict

_LARGEST: Final = 2**63 - 1
_PLACES: Final = 4
"""Digits after the point that Cedar's decimals have."""


class CedarPolicy:
    """A set of Cedar policies that decides on tool calls; for ``Guard(policy=...)``.

    No match is a denial, ``forbid`` wins over ``permit``, and a policy that cannot be evaluated on a call denies it:
    Cedar itself would pass such a policy over, also one that forbids.

    Attributes:
        fingerprint: sixteen hex digits that change whenever the text does.
        on_deny: ``stop`` ends the run; ``tell_model`` answers the call with an error.

    Args:
        text: the policies.
        on_deny: what a denial does.
        resources: arguments that hold paths or URLs; their one spelling is in ``context.resources``.

    Raises:
        ConfigurationError: cedarpy is not installed, or the text is no Cedar.
    """

    def __init__(
        self, text: str, *, on_deny: Literal["stop", "tell_model"] = "stop", resources: Iterable[str] = ()
    ) -> None:
        try:
            import cedarpy  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as missing:
            msg = 'Cedar policies need cedarpy: pip install "spanhouse[cedar]"'
            raise ConfigurationError(msg) from missing
        self._cedar = cedarpy
        try:
            self._policies = cedarpy.PolicySet.from_str(text)
            said = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"]
        except ValueError as problem:
            msg = f"this is no Cedar: {problem}"
            raise ConfigurationError(msg) from problem
        self._notes = {name: policy.get("annotations") or {} for name, policy in said.items()}
        self._resources = tuple(resources)
        self._on_deny: Literal["stop", "tell_model"] = on_deny
        self._fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def load(cls, path: Path, **settings: Any) -> Self:  # noqa: ANN401 - as the constructor takes them
        """Return the policies in a file.

        Raises:
            ConfigurationError: it cannot be read, or is no Cedar.
        """
        try:
            return cls(path.read_text(encoding="utf-8"), **settings)
        except (OSError, UnicodeDecodeError) as problem:
            msg = f"{path} cannot be read: {problem}"
            raise ConfigurationError(msg) from problem

    @property
    def on_deny(self) -> Literal["stop", "tell_model"]:
        """Whether a denial ends the run, or is told to the model."""
        return self._on_deny

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change whenever the text does."""
        return self._fingerprint

    def decide(self, tool: str, arguments: Mapping[str, Any], caller: Caller = NOBODY, *, action: str = "") -> Verdict:
        """Return the decision on a call; what cannot be judged is denied."""
        try:
            context = self._context(arguments, caller, action)
        except ValueError as problem:
            return Verdict(Decision.DENY, DEFAULT_RULE, f"cannot be judged: {problem}")
        request = {
            "principal": {"type": "User", "id": caller.user_id},
            "action": {"type": "Action", "id": "call"},
            "resource": {"type": "Tool", "id": tool},
            "context": context,
        }
        roles = [{"type": "Role", "id": role} for role in sorted(caller.roles)]
        entities = [{"uid": {"type": "User", "id": caller.user_id}, "attrs": {}, "parents": roles}]
        answer = self._cedar.is_authorized(request, self._policies, entities)
        names = [self._notes.get(one, {}).get("id", one) for one in answer.diagnostics.reasons]
        rule = names[0] if names else DEFAULT_RULE
        if answer.diagnostics.errors:
            return Verdict(Decision.DENY, rule, f"cannot be judged: {answer.diagnostics.errors[0]}")
        if not answer.allowed:
            said = f"{tool} is permitted by no policy"
            return Verdict(Decision.DENY, rule, "" if names else said, can_be_lifted=not names)
        for one, name in zip(answer.diagnostics.reasons, names, strict=True):
            if self._notes.get(one, {}).get("decision") == Decision.ASK:
                return Verdict(Decision.ASK, name, self._notes[one].get("why", ""), can_be_lifted=True)
        if action in ALWAYS_ASK:
            return Verdict(Decision.ASK, ALWAYS_ASK_RULE, f"{action} is always asked; {rule!r} permits it")
        return Verdict(Decision.ALLOW, rule, self._note(answer.diagnostics.reasons, "why"))

    def _context(self, arguments: Mapping[str, Any], caller: Caller, action: str) -> dict[str, Any]:
        spelled = {
            name: resources.normalised(value)
            for name in self._resources
            if isinstance(value := arguments.get(name), str)
        }
        said = {
            "tenant": caller.tenant,
            "agent": caller.agent,
            "run_id": caller.run_id,
            "declared": action,
            "at": int((caller.at or datetime.now(UTC)).timestamp()),
            "arguments": dict(arguments),
            "resources": spelled,
        }
        return {name: _cedar_value(value) for name, value in said.items()}

    def _note(self, ids: Iterable[str], key: str) -> str:
        return next((note for one in ids if (note := self._notes.get(one, {}).get(key))), "")


def _cedar_value(value: Any) -> Any:  # noqa: ANN401 - any JSON-like value
    """Return a value as Cedar has it: no null, no infinity, decimals of four places, integers of 64 bits."""
    if isinstance(value, Mapping):
        if "__extn" in value or "__entity" in value:
            msg = "an argument that is written like a value of Cedar's own"
            raise ValueError(msg)
        return {str(name): _cedar_value(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_cedar_value(inner) for inner in value if inner is not None]
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if abs(value) > _LARGEST:
            msg = f"{value} does not fit into 64 bits"
            raise ValueError(msg)
        return value
    if isinstance(value, float) and math.isfinite(value):
        exact = Decimal(str(value))
        if round(exact, _PLACES) != exact:
            msg = f"{value!r} has more than {_PLACES} digits after the point"
            raise ValueError(msg)
        return {"__extn": {"fn": "decimal", "arg": f"{exact:.{_PLACES}f}"}}
    msg = f"{value!r} has no form in Cedar"
    raise ValueError(msg)
