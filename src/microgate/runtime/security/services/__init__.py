"""The gateway's own services for tokens and keys."""
