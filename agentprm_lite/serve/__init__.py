"""Policies and worlds on servers: OpenAI-compatible completions, AgentGym."""
