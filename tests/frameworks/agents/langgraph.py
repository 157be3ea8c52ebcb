"""LangChain's agent on LangGraph under OpenInference."""

# Runs in the framework's environment, not in this one.
# ruff: noqa: E402
# mypy: ignore-errors

import _shared

made = _shared.provider()
url = _shared.model_api()

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from openinference.instrumentation import using_attributes
from openinference.instrumentation.langchain import LangChainInstrumentor

LangChainInstrumentor().instrument(tracer_provider=made)
agent = create_agent(ChatOpenAI(model=_shared.MODEL, base_url=url), [_shared.weather], name="weather_agent")
with using_attributes(session_id=_shared.SESSION, user_id=_shared.USER):
    agent.invoke({"messages": [{"role": "user", "content": _shared.ASKED}]})
made.shutdown()
