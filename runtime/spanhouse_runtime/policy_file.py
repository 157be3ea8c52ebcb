"""Read a policy from a YAML file, with errors that say which line of thought to mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from spanhouse.errors import ConfigurationError
from spanhouse_runtime.policy import Policy

MAX_POLICY_BYTES = 262_144


def load_policy(path: Path) -> Policy:
    """Return the policy in a YAML file.

    Raises:
        ConfigurationError: the file cannot be read, is no YAML, or does not describe a policy; the message names each
            wrong field and its value.
    """
    try:
        with path.open("rb") as file:
            body = file.read(MAX_POLICY_BYTES + 1)
    except OSError as problem:
        msg = f"policy file {path} cannot be read: {problem.strerror}"
        raise ConfigurationError(msg) from problem
    return parse_policy(body, source=str(path))


def parse_policy(body: bytes | str, *, source: str = "policy") -> Policy:
    """Return the policy a YAML text describes; ``source`` names it in errors.

    Raises:
        ConfigurationError: as ``load_policy``.
    """
    if len(body) > MAX_POLICY_BYTES:
        msg = f"{source} is larger than {MAX_POLICY_BYTES} bytes; split it or drop what is not a rule"
        raise ConfigurationError(msg)
    try:
        # Few bytes of YAML aliases can stand for gigabytes, and a policy has no use for them.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(body, Loader=yaml.SafeLoader)):
            msg = f"{source} uses YAML aliases (*name); write the rule out instead"
            raise ConfigurationError(msg)
        content: Any = yaml.safe_load(body)
    except yaml.YAMLError as problem:
        msg = f"{source} is no valid YAML: {problem}"
        raise ConfigurationError(msg) from problem
    if not isinstance(content, dict):
        msg = f"{source} must be a mapping with 'rules', 'allow' and 'on_deny', not {type(content).__name__}"
        raise ConfigurationError(msg)
    try:
        return Policy.model_validate(content)
    except ValidationError as problem:
        lines = [_plain(source, error) for error in problem.errors(include_url=False)]
        raise ConfigurationError("\n".join(lines)) from problem


def _plain(source: str, error: Any) -> str:  # noqa: ANN401 - pydantic's error details
    place = ".".join(str(part) for part in error["loc"]) or "policy"
    return f"{source}: {place}: {error['msg']} (is: {str(error['input'])[:120]!r})"
