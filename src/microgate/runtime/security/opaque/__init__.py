"""Tokens that somebody else has to be asked about, and what is remembered of the answers."""
