"""Finds and reads plates in small frames, and decides what is a hit."""
