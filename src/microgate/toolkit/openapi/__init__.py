"""Reading OpenAPI descriptions: positions, references, versions and extensions."""
