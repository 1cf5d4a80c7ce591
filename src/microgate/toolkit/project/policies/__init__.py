"""policies.yaml: its keys (keys.py), what reads them, and what is published of them (schema.py, reference.py)."""
