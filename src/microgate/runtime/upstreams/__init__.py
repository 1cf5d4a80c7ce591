"""Backends: addresses, connections, pools, and which one serves an exchange."""
