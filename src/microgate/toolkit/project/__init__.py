"""The folder on disk: its layout, its scaffold, policies.yaml and deployment-config.toml."""
