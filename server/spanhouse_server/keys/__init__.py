"""API keys: who may send, read, control and hand out keys, and for which tenants."""
