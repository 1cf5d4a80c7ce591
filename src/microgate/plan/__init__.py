"""The plan: the compiled, immutable form of a project. The toolkit writes it, the runtime reads it, nothing else passes."""
