"""Which addresses the recorder may reach: a network camera's, and none where the camera is no network camera.

Decided here: which addresses its host has (`address.py` tells the host), and the drop-in for the recorder's unit that
lets them through. Only addresses can be let through, and no name server is among them: a name counts where this
machine's own list of names (`/etc/hosts`) has it, and is refused otherwise. Values in, values out; who writes the
drop-in is `edge/camera_network.py`. Implements CF-13, CF-14 and CF-18 of docs/spec/camera-fault.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from edge.camera.address import Address, check, host_in
from vedette.config import CameraSection
from vedette.errors import Refused, Usage

# What the drop-in tells the recorder of itself, so that it can tell what it is not let through to.
MAY_REACH = "VEDETTE_MAY_REACH"
COMMAND = "sudo vedette device camera-network"
RESTART = "sudo systemctl restart vedette-recorder"
_FAMILIES = {4: "AF_INET", 6: "AF_INET6"}
_DROP_IN = """\
# Written by `vedette device camera-network` for the camera in device.toml (ADR 37): the recorder reaches these
# addresses and nothing else. Change [camera] source and run that again; what is changed here is lost.
[Service]
Environment={may_reach}={addresses}
PrivateNetwork=no
RestrictAddressFamilies={families}
IPAddressAllow={addresses_apart}
"""


def host_of(camera: CameraSection) -> str | None:
    """The host of a network camera, in small letters; None where the camera is none.

    Raises Usage for an address that the adapter would not open either, or whose password hides where its host begins.
    """
    # Only here: it brings codecs into memory, which other commands have no use for.
    from edge.camera.pipelines import BOARDS, is_coded, pipeline

    board, _, address = camera.source.partition(":")
    if camera.adapter != "gst" or board not in BOARDS or not is_coded(camera):
        return None
    pipeline(camera)
    return host_in(address)


def addresses_of(host: str, names: str) -> tuple[Address, ...]:
    """The addresses of `host`: itself where it is one, else those that `names` (the text of /etc/hosts) gives it.

    Raises Refused for a name that is not there, Usage for what is no one camera's address.
    """
    found: tuple[Address, ...]
    try:
        found = (ip_address(host),)
    except ValueError:
        found = tuple(dict.fromkeys(_listed(host, names)))
    if not found:
        raise Refused(
            f"the camera's name {host!r} is not in /etc/hosts, and the recorder asks no name server: write the "
            f"camera's address in [camera] source, or a line with both in /etc/hosts, then {COMMAND}"
        )
    for one in found:
        check(one)
    return found


def drop_in(addresses: Sequence[Address]) -> str:
    """The drop-in for the recorder's unit that lets it reach these and nothing else."""
    shown = [str(one) for one in addresses]
    families = sorted({_FAMILIES[one.version] for one in addresses})
    return _DROP_IN.format(
        may_reach=MAY_REACH, addresses=",".join(shown), addresses_apart=" ".join(shown), families=" ".join(families)
    )


def may_change(addresses: Sequence[Address]) -> str:
    """A warning about addresses that their cameras chose by themselves; empty where there is none."""
    chosen = [str(one) for one in addresses if one.is_link_local]
    return (
        f"{', '.join(chosen)}: the camera chose this by itself and may change it; give it a fixed one" if chosen else ""
    )


def why_closed(host: str, names: str, *, has_network: bool, environment: Mapping[str, str]) -> str:
    """Why this process cannot reach its camera, and what to do, where that is its own unit's doing; empty where not."""
    then = f"run {COMMAND}, then {RESTART}"
    if not has_network:
        return f"the recorder's unit lets it reach no network: {then}"
    if MAY_REACH not in environment:
        return ""
    may_reach = environment[MAY_REACH].split(",")
    try:
        wanted = [str(one) for one in addresses_of(host, names)]
    except (Refused, Usage) as error:
        return str(error)
    if set(wanted) <= set(may_reach):
        return ""
    return f"the recorder's unit lets it reach {', '.join(may_reach)} and not {', '.join(wanted)}: {then}"


def _listed(host: str, names: str) -> list[Address]:
    """What lines such as `10.0.0.7 camera camera.local` say of `host`; a line that is none says nothing."""
    found: list[Address] = []
    for line in names.splitlines():
        address, *known = line.partition("#")[0].split() or [""]
        if host in (name.lower() for name in known):
            try:
                found.append(ip_address(address))
            except ValueError:
                continue
    return found
