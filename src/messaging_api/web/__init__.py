"""HTTP: the contract of `openapi.yaml`. Knows the service, never a store."""
