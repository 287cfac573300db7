"""The worlds: a folder each, a reading of its own. The core finds them by name (env.WORLDS)."""
