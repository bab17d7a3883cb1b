"""Redacted copies: what may be seen and heard of an item that leaves, and the proof of what was changed."""
