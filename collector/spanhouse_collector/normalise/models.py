"""Model calls put on one footing: provider names, and token counts that include what they should."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

_PROVIDERS: Final = {
    **dict.fromkeys(("az.ai.openai", "azure.ai.openai", "azure", "azure_openai", "azure-openai"), "azure.openai"),
    "az.ai.inference": "azure.ai.inference",
    **dict.fromkeys(("vertex_ai", "vertexai", "google_vertexai", "gcp.vertex.ai"), "gcp.vertex_ai"),
    **dict.fromkeys(("gemini", "google", "google_genai", "google-gla"), "gcp.gemini"),
    "xai": "x_ai",
    **dict.fromkeys(("mistralai", "mistral"), "mistral_ai"),
    **dict.fromkeys(("amazon", "aws", "bedrock", "amazon_bedrock"), "aws.bedrock"),
}
# Frameworks that put their own name where the provider's belongs.
_FRAMEWORKS: Final = frozenset(
    {"strands-agents", "autogen", "langchain", "langgraph", "gcp.vertex.agent", "function", "crewai", "llama_index"}
)
_BY_MODEL: Final = (
    (("gpt-", "o1", "o3", "o4", "chatgpt", "text-embedding-", "dall-e", "codex"), "openai"),
    (("claude",), "anthropic"),
    (("gemini", "gemma"), "gcp.gemini"),
    (("mistral", "mixtral", "codestral", "magistral", "ministral"), "mistral_ai"),
    (("grok",), "x_ai"),
    (("deepseek",), "deepseek"),
    (("command",), "cohere"),
    (("sonar",), "perplexity"),
)


@lru_cache(maxsize=4096)
def provider(said: str, model: str) -> str:
    """Return the provider under OpenTelemetry's name; inferred from the model where a framework's name stands there."""
    found = said.strip().lower()
    if found and found not in _FRAMEWORKS:
        head = found.split(".", 1)[0]
        return _PROVIDERS.get(found) or ("openai" if head == "openai" else found)
    name = model.lower().rsplit("/", 1)[-1]
    return next((owner for starts, owner in _BY_MODEL if name.startswith(starts)), "")


def inclusive(part: int | None, whole: int | None, *, beside: bool = False) -> int | None:
    """Return the whole with the part inside it: a whole smaller than its part was counted without it.

    For cached tokens within input and reasoning within output. A part without a whole leaves it unknown.

    Args:
        part: what belongs into the whole.
        whole: the figure sent.
        beside: the sender is known to leave the part out of the whole.
    """
    return whole + part if part and whole is not None and (beside or part > whole) else whole
