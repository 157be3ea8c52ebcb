"""The audit trail as the server keeps it: one place for control events, signed checkpoints, and their verification."""
