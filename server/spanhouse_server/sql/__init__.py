"""The SQL door: statements of people and tools, checked against an allowlist and run where nothing can be changed."""
