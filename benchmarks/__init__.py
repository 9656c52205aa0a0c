"""What a request costs, against the bare server on the same machine in the same run."""
