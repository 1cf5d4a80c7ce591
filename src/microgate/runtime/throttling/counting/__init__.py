"""Counts that all processes of a gateway share: the table of keys, its clock, and what is counted in it."""
