"""OTLP in: takes export requests, makes them durable, normalises them and writes them to the store."""
