"""A network camera's address as it stands in `[camera] source`: what may be written there, and whose address it is.

Decided here: the letters that may become part of a pipeline's text; that an IPv6 address stands in brackets; and which
addresses are no one camera's, or count on one of this machine's interfaces only. Values in, values out. Implements
CF-18 of docs/spec/camera-fault.md, and what CF-13 says of addresses.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from vedette.errors import Usage

Address = IPv4Address | IPv6Address

MAX_LETTERS = 264
_ADDRESS = re.compile(
    r"rtsps?://(?P<before>[A-Za-z0-9._~%:@&=+,-]*@)?"
    r"(?:\[(?P<literal>[A-Za-z0-9._~%:-]*)\]|(?P<name>[A-Za-z0-9._~%-]*))(?::[0-9]*)?"
    r"(?:[/?][A-Za-z0-9._~%:@/?&=+,-]*)?"
)
_NO_BRACKETS = re.compile(r"rtsps?://(?:[^/?]*@)?[0-9A-Fa-f]*(?::[0-9A-Fa-f]*)+:[0-9A-Fa-f.:]*(?:%[^/?]*)?(?:[/?]|\Z)")
_BROADCAST = IPv4Address("255.255.255.255")


def host_in(address: str) -> str:
    """The host in a camera's address, in small letters and without brackets.

    Raises Usage, without the password, for what is no camera's address, and where the password hides the host.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or len(address) > MAX_LETTERS:
        how = "; write an IPv6 address in brackets: rtsp://[fd00::12]/…" if _NO_BRACKETS.match(address) else ""
        raise Usage(f"[camera] source: {without_password(address)!r} is not the address of a camera (rtsp://…){how}")
    before, literal, name = found["before"] or "", found["literal"], found["name"]
    if before.count("@") > 1 or not (literal or name):
        raise Usage("[camera] source: no host can be told in its address; in a password write @ as %40 and : as %3A")
    if literal:
        check(_ip6(literal))
    return (literal or name).lower()


def check(one: Address) -> None:
    """Raise Usage for what is not the address of one camera, whatever this machine's interfaces are."""
    if one.is_unspecified or one.is_multicast or one == _BROADCAST:
        raise Usage(f"[camera] source: {one} is not the address of one camera")
    if isinstance(one, IPv4Address):
        return
    if one.is_link_local or one.scope_id:
        raise Usage(f"[camera] source: {one} counts on one interface only; give the camera another address")
    if one.ipv4_mapped:
        raise Usage(f"[camera] source: {one} is an IPv4 address in another form; write {one.ipv4_mapped}")


def without_password(text: str) -> str:
    """`text` without what stands before the @ of addresses in it; for messages, which end up in custody."""
    return re.sub(r"//[^/\s]*@", "//", text)


def _ip6(literal: str) -> IPv6Address:
    try:
        return IPv6Address(literal)
    except ValueError:
        raise Usage(f"[camera] source: {literal!r}, in brackets, is not an IPv6 address") from None
