"""Where users and their passwords are: one file for each kind of store, and `store.py` for what they all offer."""
