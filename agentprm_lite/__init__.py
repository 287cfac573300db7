"""Process reward models for language-model agents: promise, progress, search, PPO."""
