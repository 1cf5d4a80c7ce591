"""Callers that are shut out: by the project, by a file that may change, by a traffic manager."""
