"""HTTP: an implementation of `openapi.yaml`. It depends on the service, never on a store."""
