"""Two machines for a test: this one with a centre, its broker, a PostgreSQL and an S3 server, all over TLS; and another
in a network of its own at the end of a cable (a pair of virtual Ethernet cards), on which the centre's folder is not
there. Needs root and a kernel that gives both; skipped elsewhere.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sync.central import elsewhere, fleet
from sync.central.authority import Authority
from sync.central.broker import Broker, broker_port, find_mosquitto
from sync.central.store import Store
from sync.uplink_commands import make_uplink
from vedette import config, spool
from vedette.clock import SystemClock
from vedette.daemon import read_status

TOOLS = ("unshare", "nsenter", "ip", "runuser")
WAIT_S = 120.0
NAME = "w9"
AWAY = """
ip link set lo up
ip address add {there}/30 dev {card}
ip link set {card} up
mount -t tmpfs none {hidden}
"""


@dataclass
class Cable:
    """Two network cards: `here` is this machine's address on it, `there` the other's; `holder` keeps that one alive."""

    here: str
    there: str
    card: str
    holder: subprocess.Popen[bytes]

    def inside(self, *words: str) -> list[str]:
        """The words of a command on the other machine."""
        return ["nsenter", "-t", str(self.holder.pid), "--net", "--mount", *words]

    def cut(self) -> None:
        """Pull it out: nobody is told."""
        _run("ip", "link", "set", self.card, "down")

    def mend(self) -> None:
        """Put it in again."""
        _run("ip", "link", "set", self.card, "up")


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=30)


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"needs root and {', '.join(missing) or 'nothing more'}: it makes a network of its own")
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    asked = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", "echo in; exec sleep 600"]
    holder = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert holder.stdout is not None
    if holder.stdout.readline() != b"in\n":
        pytest.skip("this machine gives nobody a network of its own (unshare --net)")
    number = random.Random(os.urandom(8)).randrange(1 << 14) * 4
    here, there = (f"10.201.{number // 256}.{number % 256 + host}" for host in (1, 2))
    card = f"vd{number}"
    try:
        _run("ip", "link", "add", card, "type", "veth", "peer", "name", f"{card}x", "netns", str(holder.pid))
    except subprocess.CalledProcessError as error:
        holder.kill()
        holder.wait()
        pytest.skip(f"this machine makes no virtual network cards: {error.stderr.decode().strip()[:100]}")
    _run("ip", "address", "add", f"{here}/30", "dev", card)
    _run("ip", "link", "set", card, "up")
    made = Cable(here=here, there=there, card=card, holder=holder)
    hidden = tmp_path / "police"
    hidden.mkdir()
    _run(*made.inside("sh", "-eu", "-c", AWAY.format(there=there, card=f"{card}x", hidden=hidden)))
    yield made
    holder.kill()
    holder.wait()
    with suppress(subprocess.CalledProcessError):  # it goes with its other end
        _run("ip", "link", "delete", card)


@pytest.fixture
def database(cable: Cable, postgres: Any, tmp_path: Path) -> Iterator[Callable[[Authority], str]]:
    """Makes an empty database that is reached over TLS from the other machine too; its address in central.toml."""
    import pwd

    folder = Path(tempfile.mkdtemp(prefix="vedette-postgres-"))
    owner = pwd.getpwnam("postgres")
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    server = type(postgres)(postgres.binaries, folder)

    def make(authority: Authority) -> str:
        issued = authority.issue_server(cable.here, time.time_ns() // 1000)
        for name, pem in (("server.crt", issued.certificate), ("server.key", issued.key)):
            (folder / name).write_bytes(pem)
            (folder / name).chmod(0o600)
            os.chown(folder / name, owner.pw_uid, owner.pw_gid)
        with (folder / "data" / "postgresql.conf").open("a") as text:
            text.write(f"listen_addresses = '127.0.0.1, {cable.here}'\nssl = on\nmax_connections = 60\n")
            text.write(f"ssl_cert_file = '{folder}/server.crt'\nssl_key_file = '{folder}/server.key'\n")
        with (folder / "data" / "pg_hba.conf").open("a") as text:
            text.write("hostssl all all 10.201.0.0/16 trust\n")
        server.stop("fast")
        server.start()
        root = tmp_path / "root.crt"
        root.write_bytes(authority.certificate)
        name = server.database().rpartition("/")[2]
        return f"postgresql://vedette@{cable.here}:{server.port}/{name}?sslmode=verify-full&sslrootcert={root}"

    yield make
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def bucket(
    cable: Cable, make_bucket: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Authority], str]]:
    """Makes an empty bucket of moto's S3 that both machines reach by HTTPS; what central.toml says of it."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    servers: list[Any] = []

    def make(authority: Authority) -> str:
        issued = authority.issue_server(cable.here, time.time_ns() // 1000)
        names = [str(tmp_path / f"s3.{kind}") for kind in ("crt", "key")]
        for name, pem in zip(names, (issued.certificate, issued.key), strict=True):
            Path(name).write_bytes(pem)
        authorities = tmp_path / "s3-authorities.pem"
        authorities.write_bytes(authority.certificate)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authorities))
        app = DomainDispatcherApplication(create_backend_app)
        server = make_server(cable.here, 0, app, threaded=True)
        # Hands are shaken in each connection's thread: one whose cable was cut meanwhile would stop the accepting one.
        server.ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.ssl_context.load_cert_chain(*names)
        server.socket = server.ssl_context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        servers.append(server)
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        plain = make_bucket()
        return str(plain.toml.replace(plain.endpoint, f"https://{cable.here}:{servers[-1].server_port}"))

    yield make
    for server in servers:
        server.shutdown()


@dataclass
class Police:
    """A centre of which all is reached over the cable, a worker on the other machine, and a device at the broker."""

    folder: Path
    cable: Cable
    there: Path
    device: Any
    broker: Broker
    uplink: Any = None
    place: Any = None
    centre: subprocess.Popen[bytes] | None = None
    worker: subprocess.Popen[bytes] | None = None
    made: list[Any] = field(default_factory=list)
    sizes: Iterator[int] = field(default_factory=lambda: itertools.cycle((100_000, 300_000, 30)))

    def start_centre(self) -> None:
        words = [sys.executable, "-m", "vedette.cli", "central", "run", "--config", str(self.folder / "central.toml")]
        with (self.folder / "run" / "test.log").open("ab") as log:
            self.centre = subprocess.Popen(words, stdout=log, stderr=log)
        self.until(lambda: read_status(self.folder / "run", "central").get("connected") is True)

    def start_worker(self) -> None:
        words = ["-m", "sync.central.worker", "--config", str(self.there / "central.toml"), "--name", NAME]
        (self.there / "run" / "status" / f"{NAME}.json").unlink(missing_ok=True)
        with (self.there / "test.log").open("ab") as log:
            self.worker = subprocess.Popen(self.cable.inside(sys.executable, *words), stdout=log, stderr=log)
        self.until(lambda: self.worker_says("connected") is True)

    def start_device(self) -> None:
        self.place = config.load_device(self.device.folder / "device.toml")
        spool.make_folders(self.place.spool)
        self.uplink = make_uplink(self.place, SystemClock())

    def worker_says(self, name: str) -> Any:
        return read_status(self.there / "run", NAME).get(name)

    def put(self, count: int) -> None:
        """So many items come into the device's spool."""
        for _ in range(count):
            item = self.device.item(os.urandom(next(self.sizes)))
            spool.part_path(self.place.spool, item.manifest.kind, item.id).write_bytes(item.sealed_bytes)
            spool.commit(self.place.spool, item.manifest.kind, item.id, item.manifest_bytes)
            self.made.append(item)

    def receipts(self) -> int:
        return sum((self.place.receipts / f"{item.id}.receipt").is_file() for item in self.made)

    def all_received(self) -> bool:
        return self.receipts() == len(self.made)

    def until(self, fact: Callable[[], bool]) -> None:
        """Let the device do its work until then."""
        end = time.monotonic() + WAIT_S
        while not fact():
            logs = (self.folder / "run" / "test.log", self.there / "test.log")
            assert time.monotonic() < end, [path.read_text()[-2000:] for path in logs if path.is_file()]
            if self.uplink is not None:
                self.uplink.step(SystemClock().mono_us())
            else:
                time.sleep(0.05)

    def close(self) -> None:
        if self.uplink is not None:
            self.uplink.close()
        for process in (self.worker, self.centre):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        self.broker.stop()


@pytest.fixture
def police(
    cable: Cable,
    database: Callable[[Authority], str],
    bucket: Callable[[Authority], str],
    centre: Any,
    tmp_path: Path,
) -> Iterator[Police]:
    """A centre on PostgreSQL and S3 with its broker as a service of its own, nothing but the broker running yet."""
    folder, clock = tmp_path / "police", centre.clock
    clock.jump(time.time_ns() // 1000 - clock.utc_us())
    made = fleet.make_centre(folder, tmp_path / "police-keys", "police.test/log", host=cable.here, clock=clock)
    authority = Authority(folder / "keys")
    port = broker_port(folder, cable.here, 0)
    text = made.config.read_text().replace("embedded = true", "embedded = false").replace("port = 0", f"port = {port}")
    made.config.write_text(f'{text}\n[store]\nurl = "{database(authority)}"\n\n{bucket(authority)}')
    with closing(Store(folder, clock)) as store:
        device = type(centre)(folder=folder, escrow=made.escrow, clock=clock, store=store).stranger()
        with (device.folder / "device.toml").open("a") as toml:
            toml.write(f'run = "{device.folder / "run"}"\n')
        fleet.enrol(store, device.id, device.folder, port=port)
        fleet.write_revocations(store)
    (device.folder / "run").mkdir()
    broker = Broker(folder, cable.here, port, name="alone")
    broker.start(0)
    away = elsewhere.make(folder, NAME, tmp_path / "away", SystemClock())
    running = Police(folder=folder, cable=cable, there=away.folder, device=device, broker=broker)
    yield running
    running.close()
