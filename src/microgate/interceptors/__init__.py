"""The public SDK that users' code imports. It imports nothing of microgate."""
