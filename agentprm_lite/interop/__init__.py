"""Logs of other agents in, models for other programs out."""
