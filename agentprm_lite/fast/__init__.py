"""Ragged batches of keys and values, and the player that samples with them."""
