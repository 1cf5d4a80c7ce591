"""Access log, metrics, health and the admin listener."""
