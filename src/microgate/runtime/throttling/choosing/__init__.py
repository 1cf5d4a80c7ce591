"""By what a request is counted: the group of conditions that it belongs to, and the key that a template makes of it."""
