"""Who calls and what the caller may do, as stages."""
