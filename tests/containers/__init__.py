"""The container layout on a real Docker engine: `make test-containers`."""
