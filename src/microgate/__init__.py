"""microgate: OpenAPI descriptions in, one immutable executable gateway out. The package itself holds only its version."""

__version__ = "0.1.0"
