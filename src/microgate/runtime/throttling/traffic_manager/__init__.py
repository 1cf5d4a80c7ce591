"""Limits that a traffic manager decides (WSO2 §11.3): what it says of keys, and what it is told of requests."""
