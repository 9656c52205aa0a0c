"""What the container layout promises, on a real Docker engine: `make test-containers`."""
