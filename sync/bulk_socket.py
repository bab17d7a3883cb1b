"""What is asked of the kernel for a connection that carries bulk: its packets' mark, and to drop what is not sent yet.

Implements WI-61 and WI-62 of docs/spec/wire.md for both carriers, MQTT and the depot's door.
"""

from __future__ import annotations

import contextlib
import socket
import struct


def mark(connection: socket.socket, dscp: int) -> None:
    """Mark the packets of `connection` for the routers on the way (RFC 2474); 0 leaves them as they are."""
    if dscp and connection.family == socket.AF_INET6:
        connection.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
    elif dscp:
        connection.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)


def drop_unsent(connection: socket.socket) -> None:
    """Let the kernel throw away what it has not sent when the socket is closed (it sends a reset)."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
