"""Bytes to exchanges and back, on both sides. Knows no policy."""
