"""Self-contained tokens: reading, proving and judging them, and the keys of their issuers."""
