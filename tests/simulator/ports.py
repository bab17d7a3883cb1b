"""Ports for servers that a test starts."""

import socket


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """One that nobody has just now, for TCP or (SOCK_DGRAM) for UDP."""
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind(("" if kind is socket.SOCK_DGRAM else "127.0.0.1", 0))
        return int(found.getsockname()[1])
