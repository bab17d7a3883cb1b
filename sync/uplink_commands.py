"""`vedette uplink run` and `vedette uplink status`."""

from __future__ import annotations

import argparse
import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from sync.arrivals import arrivals
from sync.authorities import Authorities, trusted_file
from sync.depot_post import DepotPost
from sync.head_post import HeadPost
from sync.holdings import Holdings
from sync.https_link import HttpsConfig, HttpsLink
from sync.link import Will
from sync.multicast import MulticastAir
from sync.network import policy_of
from sync.network_sources import NetworkWatch, source_of
from sync.outbox import Outbox, refused_items
from sync.paho_link import LinkConfig, PahoLink
from sync.peer_intake import PeerIntake
from sync.peers import Note, PeerParts, PeerPost
from sync.remote import RemoteDesk, RemoteParts
from sync.renewal import Identity, Renewal
from sync.sender import Sender
from sync.uplink import Uplink, UplinkParts
from sync.uplink_report import UplinkReport
from sync.watchlist_intake import WatchlistIntake
from vedette import cli, daemon, spool
from vedette.clock import Clock, SystemClock
from vedette.config import DeviceConfig, load_device
from vedette.custody_heads import JournalWatch
from vedette.errors import Refused, VedetteError
from vedette.identity import identity_of
from vedette.keys import SigningKey
from vedette.records import keyring
from vedette.sealed import load_identities
from vedette.topics import bulk_identity, bulk_subscriptions, device_subscriptions, topic
from vedette.trust import Trust, load_trust
from vedette.waiting_journal import WaitingJournal
from vedette.wire import Birth

LINK_WINDOW = 32
Connect = Callable[[LinkConfig, Clock], PahoLink]


def register(nouns: cli.Nouns) -> None:
    """Add the noun `uplink`."""
    verbs = cli.noun(nouns, "uplink", help="the device's connection to the centre")
    run = verbs.add_parser("run", help="run the uplink until it is stopped", description="Run the uplink service.")
    run.add_argument("--config", type=Path, required=True, metavar="FILE", help="device.toml")
    run.set_defaults(run=run_uplink)
    status = verbs.add_parser("status", help="what waits, what was sent", description="Show the uplink's figures.")
    status.add_argument("--config", type=Path, required=True, metavar="FILE", help="device.toml")
    cli.add_json(status)
    status.set_defaults(run=show_status)


def run_uplink(args: argparse.Namespace) -> int:
    """Run the service; returns its exit code."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    config = load_device(args.config)
    clock = SystemClock(config.device.run)
    return daemon.run(make_uplink(config, clock), clock=clock)


def show_status(args: argparse.Namespace) -> int:
    """Print the figures of the running (or last) uplink and every item the centre has refused."""
    config = load_device(args.config)
    figures = daemon.read_status(config.run, "uplink")
    refused = refused_items(config.data / "outbox.db")
    rows = [[one.item_id, one.kind, one.refused, one.why] for one in refused]
    text = f"{figures['account']}\n\n" if "account" in figures else ""
    text += cli.table(
        [[name, str(value)] for name, value in sorted(figures.items()) if name != "account"], heads=["figure", "value"]
    )
    if rows:
        text += "\n\n" + cli.table(rows, heads=["refused item", "kind", "code", "why"])
    listed = [{"item": one.item_id, "kind": one.kind, "code": one.refused, "why": one.why} for one in refused]
    cli.show(args, {**figures, "refused_items": listed}, text)
    return 0


def make_uplink(config: DeviceConfig, clock: Clock, connect: Connect = PahoLink) -> Uplink:
    """The service with its real parts; raises VedetteError when the device is not enrolled or a key does not load.

    `connect` makes its connections; a simulation wants to hold their clock.
    """
    trust = load_trust(config.trust)
    spool.make_folders(config.spool)
    outbox = Outbox(config.data / "outbox.db", config.spool)
    holdings = Holdings(outbox, config.receipts, keyring(trust.centre))
    report = UplinkReport(
        clock=clock,
        run_dir=config.run,
        spool_root=config.spool,
        recipients=trust.lead_recipients(),
        identity=identity_of(config),
    )
    intake = _intake(config, trust, clock)
    link = connect(_link_config(config, report.birth(online=False, list_version=intake.version)), clock)
    bulk_config = _bulk_link_config(config)
    bulk = None if bulk_config is None else connect(bulk_config, clock)
    door = _door(config, clock)
    device, uplink = config.device.id, config.uplink
    watch = arrivals(config.spool)
    link.wake_for([] if bulk is None else [bulk], [] if watch is None else [watch])
    journal = _journal(config, clock)
    note = _note(journal, report)
    peer_list = PeerIntake(config.data / "peers", keyring(trust.centre), device=device)
    peers = _peers(config, peer_list, clock, note)
    return Uplink(
        UplinkParts(
            device=device,
            clock=clock,
            link=link,
            outbox=outbox,
            holdings=holdings,
            sender=Sender(holdings.check_receipt, window=uplink.window, part_size=uplink.part_kib * 1024),
            intake=intake,
            journal=journal,
            report=report,
            network=NetworkWatch(
                policy_of(config.network, allow_bulk=uplink.allow_bulk, zone=config.device.zone),
                source_of(config.network),
                clock,
            ),
            arrivals=watch,
            bulk=bulk,
            depot=None if door is None else _depot(config, door, outbox),
            renewal=_renewal(config, clock, [link] if door is None else [link, door], bulk),
            escalate_h=uplink.escalate_h,
            heads=HeadPost(device=device, key=journal.key, clock=clock, watch=JournalWatch(root=config.journals)),
            peers=peers,
            peer_list=None if peers is None else peer_list,
            remote=RemoteDesk(
                RemoteParts(device=device, keys=keyring(trust.centre), run_dir=config.run, clock=clock, note=note)
            ),
        )
    )


def _intake(config: DeviceConfig, trust: Trust, clock: Clock) -> WatchlistIntake:
    identities = load_identities(config.keys / "list.identity")
    return WatchlistIntake(config.data, identities, trust.list_signer, clock)


def _journal(config: DeviceConfig, clock: Clock) -> WaitingJournal:
    key = SigningKey.load(config.keys / "sign.pem")
    return WaitingJournal(config.journals / "uplink", service="uplink", device=config.device.id, key=key, clock=clock)


def _note(journal: WaitingJournal, report: UplinkReport) -> Note:
    def note(event: str, detail: dict[str, int | str | bool | None]) -> None:
        """Write custody; a disk that takes no line stops neither peers nor commands."""
        with contextlib.suppress(VedetteError):
            journal.append(event, None, detail)
        report.journalled = True

    return note


def _peers(config: DeviceConfig, peer_list: PeerIntake, clock: Clock, note: Note) -> PeerPost | None:
    """Talk with cameras nearby where device.toml says so; a network that cannot be used is noted and done without."""
    peers = config.peers
    if not (peers.listen or peers.tell):
        return None
    try:
        air = MulticastAir(peers.group, peers.port, interface=peers.interface, listen=peers.listen)
    except Refused as error:
        note("peer.refused", {"why": str(error)[:300]})
        return None
    parts = PeerParts(
        device=config.device.id,
        key=SigningKey.load(config.keys / "sign.pem"),
        peers=peer_list.believed(),
        air=air,
        run_dir=config.run,
        clock=clock,
        window_us=peers.window_s * 1_000_000,
        note=note,
    )
    return PeerPost(parts)


def _link_config(config: DeviceConfig, will: Birth) -> LinkConfig:
    uplink, device = config.uplink, config.device.id
    certificate, key = _main_identity(config).files(config.keys)
    return LinkConfig(
        host=uplink.host,
        port=uplink.port,
        client_id=device,
        ca=_authorities(config),
        certificate=config.data / uplink.cert if uplink.cert else certificate,
        key=config.data / uplink.key if uplink.key else key,
        subscriptions=device_subscriptions(device),
        will=Will(topic=topic(device, Birth), payload=will.encode()),
        window=LINK_WINDOW,
        backlog=0,
        version=_version(config),
    )


def _main_identity(config: DeviceConfig) -> Identity:
    return Identity(name=config.device.id, stem="tls")


def _renewal(
    config: DeviceConfig, clock: Clock, main: Sequence[PahoLink | HttpsLink], bulk: PahoLink | None
) -> Renewal | None:
    """Renewing of the certificate of `main` (broker and depot see the same one) and of the link's for bulk; none where
    device.toml names files that somebody else looks after.
    """
    if config.uplink.cert or config.uplink.key:
        return None
    links, identities = {config.device.id: main}, [_main_identity(config)]
    name = bulk_identity(config.device.id)
    if bulk is not None:
        links[name] = [bulk]
        identities.append(Identity(name=name, stem="bulk"))

    def take_up(name: str, path: Path) -> None:
        for link in links[name]:
            link.take_up(path, path)

    def take_up_authorities(path: Path) -> None:
        for one in identities:
            for link in links[one.name]:
                link.take_up(*one.files(config.keys), path)

    centre = keyring(load_trust(config.trust).centre)
    authorities = None if config.uplink.ca else Authorities(config.keys, centre, clock)
    return Renewal(config.device.id, identities, config.keys, clock, take_up, authorities, take_up_authorities)


def _version(config: DeviceConfig) -> Literal["5", "3.1.1"]:
    return "3.1.1" if config.uplink.mqtt == "3.1.1" else "5"


def _bulk_link_config(config: DeviceConfig) -> LinkConfig | None:
    """The connection for parts of recordings, where enrolment has left a certificate for it; no will, no birth."""
    identity = bulk_identity(config.device.id)
    certificate, key = Identity(name=identity, stem="bulk").files(config.keys)
    if not config.uplink.bulk_connection or not (certificate.is_file() and key.is_file()):
        return None
    return LinkConfig(
        host=config.uplink.host,
        port=config.uplink.port,
        client_id=identity,
        ca=_authorities(config),
        certificate=certificate,
        key=key,
        subscriptions=bulk_subscriptions(config.device.id),
        window=LINK_WINDOW,
        backlog=0,
        version=_version(config),
        dscp=config.uplink.bulk_dscp,
    )


def _door(config: DeviceConfig, clock: Clock) -> HttpsLink | None:
    """The link to the depot's door, where device.toml names one."""
    uplink = config.uplink
    if not uplink.depot_host:
        return None
    certificate, key = _main_identity(config).files(config.keys)
    https = HttpsConfig(
        host=uplink.depot_host,
        port=uplink.depot_port,
        device=config.device.id,
        ca=_authorities(config),
        certificate=config.data / uplink.cert if uplink.cert else certificate,
        key=config.data / uplink.key if uplink.key else key,
        dscp=uplink.bulk_dscp,
    )
    return HttpsLink(https, clock)


def _depot(config: DeviceConfig, door: HttpsLink, outbox: Outbox) -> DepotPost:
    """What sends unmarked video to the door, with files and a sender of its own."""
    holdings = Holdings(outbox, config.receipts, keyring(load_trust(config.trust).centre))
    return DepotPost(door, Sender(holdings.check_receipt), holdings)


def _authorities(config: DeviceConfig) -> Path:
    return config.data / config.uplink.ca if config.uplink.ca else trusted_file(config.keys)
