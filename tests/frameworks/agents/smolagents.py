"""smolagents under OpenInference, on chat completions."""

# Runs in the framework's environment, not in this one.
# ruff: noqa: D101, E402, RUF012
# mypy: ignore-errors

import _shared

made = _shared.provider()
url = _shared.model_api()

from openinference.instrumentation import using_attributes
from openinference.instrumentation.smolagents import SmolagentsInstrumentor
from smolagents import OpenAIModel, Tool, ToolCallingAgent

SmolagentsInstrumentor().instrument(tracer_provider=made)


class Weather(Tool):
    name = "weather"
    description = "The weather of a city."
    inputs = {"city": {"type": "string", "description": "name of the city"}}
    output_type = "string"

    def forward(self, city: str) -> str:
        return f"rainy, 14C in {city}"


model = OpenAIModel(_shared.MODEL, api_base=url, api_key="unused")
agent = ToolCallingAgent([Weather()], model, name="weather_agent", description="weather", verbosity_level=0)
with using_attributes(session_id=_shared.SESSION, user_id=_shared.USER):
    agent.run(_shared.ASKED)
made.shutdown()
