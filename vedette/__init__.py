"""The contract: what a device and the central store must agree on bit for bit. No threads, no network."""

__version__ = "0.1.0"
