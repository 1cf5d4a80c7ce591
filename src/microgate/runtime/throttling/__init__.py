"""How much a caller may ask for: limits that are exact over all workers of a node, conditions, blocks, and what overload does."""
