"""Redaction in the collector: what no tenant wants stored is taken out before the store, or before the journal."""
