"""Deleting on request and by retention: jobs that a crash only interrupts, and proof of what they did."""
