"""The token that tells a backend who calls."""
