"""Demonstration agents: each runs through the runtime on a scripted model and ends in its own way."""

from spanhouse_runtime.demo.play import SCENARIOS, play
from spanhouse_runtime.demo.scenario import Scenario

__all__ = ["SCENARIOS", "Scenario", "play"]
