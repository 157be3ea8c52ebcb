"""LangChain's agent under OpenLLMetry's instrumentation."""

# Runs in the framework's environment, not in this one.
# ruff: noqa: E402
# mypy: ignore-errors

import _shared

made = _shared.provider()
url = _shared.model_api()

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from opentelemetry.instrumentation.langchain import LangchainInstrumentor

LangchainInstrumentor().instrument(tracer_provider=made)
agent = create_agent(ChatOpenAI(model=_shared.MODEL, base_url=url), [_shared.weather], name="weather_agent")
ids = {"session_id": _shared.SESSION, "user_id": _shared.USER}
agent.invoke({"messages": [{"role": "user", "content": _shared.ASKED}]}, {"metadata": ids})
made.shutdown()
