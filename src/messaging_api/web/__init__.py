"""HTTP: the contract of `openapi.yaml`, spoken over ASGI. Knows the service, never a store."""
