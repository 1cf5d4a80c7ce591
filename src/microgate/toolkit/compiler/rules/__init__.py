"""Proofs about a bound project, one per file; each reports diagnostics and never changes anything."""
