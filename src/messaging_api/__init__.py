"""Messages sealed by their links: see docs/architecture.md."""

__version__ = "0.1.0"
