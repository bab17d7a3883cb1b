"""The local network as peers use it: UDP datagrams to a multicast group that no router passes on (TTL 1)."""

from __future__ import annotations

import ipaddress
import socket
import struct

from vedette.errors import Refused, Usage

MAX_DATAGRAM = 1024


class MulticastAir:
    """Sends to and hears a group; nothing here waits. Also hears itself, as every member of a group does."""

    def __init__(self, group: str, port: int, *, interface: str = "", listen: bool = True) -> None:
        """Join the group on `interface` (an IPv4 address of this machine; empty: the system's choice).

        Raises `Usage` for addresses that are none and `Refused` where the system does not let it.
        """
        self._to = (str(_address(group, multicast=True)), port)
        own = _address(interface, multicast=False).packed if interface else b"\0\0\0\0"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
            if interface:
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
            if listen:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self._socket.bind(self._to)
                membership = struct.pack("4s4s", ipaddress.IPv4Address(group).packed, own)
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        except OSError as error:
            self._socket.close()
            raise Refused(f"[peers] {group}:{port} cannot be used: {error.strerror or error}") from None
        self._listens = listen

    def send(self, datagram: bytes) -> bool:
        """Send to everybody in the group; False when the network takes nothing now."""
        try:
            self._socket.sendto(datagram, self._to)
        except OSError:
            return False
        return True

    def receive(self) -> bytes | None:
        """The next datagram that waits, or None; one that is too long comes cut and fails as a record."""
        if not self._listens:
            return None
        try:
            return self._socket.recv(MAX_DATAGRAM + 1)
        except OSError:
            return None

    def close(self) -> None:
        """Leave the group."""
        self._socket.close()


def _address(text: str, *, multicast: bool) -> ipaddress.IPv4Address:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise Usage(f"[peers] {text[:40]!r} is no IPv4 address") from None
    if multicast and not address.is_multicast:
        raise Usage(f"[peers] group: {text} is no multicast address; such as 239.255.86.68")
    return address
