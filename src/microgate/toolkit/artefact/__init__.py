"""Packing a plan into the one executable file."""
