"""Recorded agent runs in, OTLP out: what ``spanhouse import`` reads and how it becomes spans."""
