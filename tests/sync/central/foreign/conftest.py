"""Brokers that are not ours, and a whole centre and a device's uplink that use them.

RabbitMQ comes from Debian's archive as `build/rabbitmq` and runs in a root directory, mounts and process ids of its own
(so that nothing of it stays); it is set up as docs/guide/another-broker.md says, read out of that page.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from ports import free_port

from sync.central import fleet
from sync.central.check import Broker, Finding, Trial, Verdict, audit
from sync.central.greeting import MQTT_311, context_of, greet
from sync.uplink_commands import make_uplink
from vedette.clock import SystemClock

ROOT = Path(__file__).parents[4]
GUIDE = ROOT / "docs" / "guide" / "another-broker.md"
RABBITMQ = ROOT / "build" / "rabbitmq"
# What the package's scripts call; a package that is only unpacked brings no more than it depends on.
PACKAGES = "rabbitmq-server,dash,coreutils,sed,grep,mawk,hostname,base-files"
HOME = "/var/lib/rabbitmq"
STARTS_WITHIN_S = 120.0
WAIT_S = 60.0
TRIES = 3
ARRIVALS = {"own-topics", "centre", "user-name", "revoked-live", "will", "largest-part", "retained"}
INSIDE = f"""
mount --bind "$WORK" "$ROOT{HOME}" && mount --rbind /dev "$ROOT/dev" && mount -t proc proc "$ROOT/proc" &&
exec chroot "$ROOT" /usr/lib/rabbitmq/bin/rabbitmq-server
"""


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def pages_blocks(heading: str) -> list[str]:
    """The fenced blocks of a section of the guide."""
    section = GUIDE.read_text().split(f"### {heading}\n")[1].split("\n### ")[0]
    return [block.partition("\n")[2] for block in section.split("```")[1::2]]


def may_be_late(finding: Finding) -> bool:
    return finding.verdict is Verdict.UNKNOWN or (finding.verdict is Verdict.WRONG and finding.name in ARRIVALS)


@pytest.fixture
def findings() -> Callable[[Broker, tuple[Trial, ...]], dict[str, Finding]]:
    """The audit's findings by name. It waits three seconds for an answer, which on a busy machine is not always enough:
    what could not be tried, or waits for something to arrive, is tried again. What must not happen may not happen once.
    """

    def found(broker: Broker, trials: tuple[Trial, ...]) -> dict[str, Finding]:
        kept: dict[str, Finding] = {}
        for _ in range(TRIES):
            left = tuple(one for one in trials if one.name not in kept or may_be_late(kept[one.name]))
            kept |= {one.name: one for one in audit(broker, left)}
        return kept

    return found


class RabbitMQ:
    """A node that listens on a loopback port, with the centre's keys and the users of the guide."""

    def __init__(self, root: Path, folder: Path, keys: Path, devices: tuple[str, ...]) -> None:
        self.root, self.folder, self.port = root, folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None
        plain, advanced, entries, *_ = pages_blocks("RabbitMQ")
        self._entries = json.loads(entries)
        (folder / "crl").mkdir(parents=True)
        for name in ("authorities.pem", "server.crt", "server.key"):
            (folder / name).write_bytes((keys / name).read_bytes())
            advanced = advanced.replace(f'"{name}"', f'"{HOME}/{name}"')
        (folder / "advanced.config").write_text(advanced.replace('"crl"', f'"{HOME}/crl"'))
        (folder / "rabbitmq.conf").write_text(
            f"{plain.replace('0.0.0.0:8883', f'127.0.0.1:{self.port}')}load_definitions = {HOME}/definitions.json\n"
        )
        (folder / "enabled_plugins").write_text("[rabbitmq_mqtt].\n")
        (folder / "definitions.json").write_text(json.dumps(self._definitions(devices)))
        self.read_revocations(keys / "crl.pem")

    def read_revocations(self, path: Path) -> None:
        """As the guide says, by a folder of files named by hash; a node reads it at each handshake."""
        hashed = ["openssl", "crl", "-in", str(path), "-noout", "-hash"]
        name = subprocess.run(hashed, capture_output=True, text=True, check=True).stdout.strip()
        (self.folder / "crl" / f"{name}.r0").write_bytes(path.read_bytes())

    def start(self) -> None:
        """Wait until it listens."""
        environment = {
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "LANG": "C.UTF-8",
            "HOME": HOME,
            "ROOT": str(self.root),
            "WORK": str(self.folder),
            "RABBITMQ_CONFIG_FILE": f"{HOME}/rabbitmq",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{HOME}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{HOME}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{HOME}/mnesia",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_NODENAME": "rabbit@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2 -kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", INSIDE]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                apart, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + STARTS_WITHIN_S
        while not answers(self.port):
            assert self.process.poll() is None and time.monotonic() < end, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill -9 of all its processes."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def _definitions(self, devices: tuple[str, ...]) -> dict[str, Any]:
        """The guide's entries of `car-1`, for each of these and for the centre's own users."""
        made: dict[str, list[Any]] = {name: [] for name in self._entries}
        for device in devices:
            for name, rows in json.loads(json.dumps(self._entries).replace("car-1", device)).items():
                made[name] += rows
        rights = {
            "centre": (r"^cmd\..*$", r"^devices\..*$"),
            **dict.fromkeys(("check", "check-2"), (r"^cmd\.[^.]+\.check$", r"^devices\.[^.]+\.check$")),
        }
        for user, (write, read) in rights.items():
            for name, rows in self._entries.items():
                made[name].append({**rows[0], "name" if name == "users" else "user": user})
            made["topic_permissions"][-1].update(write=write, read=read)
        return {"rabbit_version": "4.0.5", "vhosts": [{"name": "/"}], **made}


@pytest.fixture(scope="session")
def rabbitmq_root(one_at_a_time: Callable[[str], AbstractContextManager[None]]) -> Path:
    """A directory with Debian 13's RabbitMQ 4, kept under build/."""
    if shutil.which("mmdebstrap") is None or os.uname().machine != "x86_64" or os.geteuid() != 0:
        pytest.skip("RabbitMQ is fetched by mmdebstrap and run by root, on x86-64 only (apt install mmdebstrap)")
    with one_at_a_time(RABBITMQ.name):
        if not (RABBITMQ / "ready").is_file():
            _fetch(RABBITMQ / "root")
    return RABBITMQ / "root"


def _fetch(root: Path) -> None:
    shutil.rmtree(RABBITMQ, ignore_errors=True)
    RABBITMQ.mkdir(parents=True)
    # A mirror that is some days behind is as good here; the packages' signatures are checked all the same.
    late = '--aptopt=Acquire::Check-Valid-Until "false"'
    fetch = ["mmdebstrap", late, "--variant=extract", f"--include={PACKAGES}", "trixie", str(root)]
    try:
        done = subprocess.run(fetch, capture_output=True, text=True, timeout=180, check=False)
        failed = done.stderr.strip()[-200:] if done.returncode else ""
    except subprocess.TimeoutExpired:
        failed = "it took longer than three minutes"
    if failed:
        pytest.skip(f"mmdebstrap cannot fetch rabbitmq-server: {failed}")
    for name in ("proc", HOME.lstrip("/")):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
    (RABBITMQ / "ready").touch()


@pytest.fixture
def rabbitmq(rabbitmq_root: Path, centre: Any, tmp_path: Path) -> Iterator[RabbitMQ]:
    centre.clock.jump(time.time_ns() // 1000 - centre.clock.utc_us())  # brokers live by the real clock
    devices = ("car-1", "check-a", "check-b")
    node = RabbitMQ(rabbitmq_root, tmp_path / "rabbitmq", centre.folder / "keys", devices)
    node.start()
    yield node
    node.kill()


class Aedes:
    """A broker of plain MQTT 3.1.1 in node, with the centre's keys and the rights of the guide's table."""

    def __init__(self, packages: Path, keys: Path) -> None:
        self.packages, self.keys, self.port = packages, keys, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Wait until it listens."""
        script = (Path(__file__).parent / "aedes.mjs").read_text()
        command = ["node", "--input-type=module", "-e", script, "--", str(self.port), str(self.keys)]
        self.process = subprocess.Popen(command, cwd=self.packages)
        end = time.monotonic() + STARTS_WITHIN_S
        while not answers(self.port):
            assert self.process.poll() is None and time.monotonic() < end, "aedes does not start"
            time.sleep(0.05)

    def read_revocations(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


@pytest.fixture
def aedes(npm_aedes: Path, centre: Any) -> Iterator[Aedes]:
    centre.clock.jump(time.time_ns() // 1000 - centre.clock.utc_us())  # brokers live by the real clock
    broker = Aedes(npm_aedes, centre.folder / "keys")
    broker.start()
    yield broker
    broker.kill()


class Elsewhere:
    """A centre's process whose broker is at `port`, and a device with its real uplink."""

    def __init__(self, centre: Any, port: int, uplink_toml: str, broker_toml: str) -> None:
        self.centre, self.port, self.device = centre, port, centre.stranger("car-1")
        path = centre.folder / "central.toml"
        text = path.read_text().replace("embedded = true", "embedded = false")
        path.write_text(text.replace("port = 0", f"port = {port}\n{broker_toml}"))
        self.process = centre.start()
        self.place = self.device.join(f"\n[uplink]\n{uplink_toml}")
        self.uplink = make_uplink(self.place, SystemClock())

    def send(self, size: int, kind: str = "segment") -> Path:
        """Put an item into the spool; where its receipt will be."""
        item = self.device.hit() if kind == "hit" else self.device.item(os.urandom(size))
        item.commit(self.place.spool)
        return Path(self.place.receipts / f"{item.id}.receipt")

    def drive(self, fact: Callable[[], object], within_s: float = WAIT_S) -> bool:
        """Let the uplink work until `fact`; the centre works by itself."""
        end = time.monotonic() + within_s
        while not fact() and time.monotonic() < end:
            self.uplink.step(SystemClock().mono_us())
        return bool(fact())

    def check_nothing_is_lost_when_it_is_killed(self, broker: Any, size: int) -> None:
        """Items arrive; the broker dies with four more of so many bytes on their way, is started, and all arrive."""
        first, second = self.send(300_000), self.send(0, "hit")
        assert self.drive(lambda: first.is_file() and second.is_file()), self.said
        waiting = [self.send(size) for _ in range(4)]
        parts = self.centre.folder / "incoming" / fleet.CENTRE_ID
        assert self.drive(lambda: any(path.stat().st_blocks for path in parts.iterdir()))
        broker.kill()
        waiting.append(self.send(0, "hit"))
        assert not self.drive(waiting[-1].is_file, 2.0)
        broker.start()
        assert self.drive(lambda: all(path.is_file() for path in waiting), 2 * WAIT_S), self.said
        assert len(self.centre.store.items()) == 2 + len(waiting)
        assert self.centre.store.quarantine() == []

    def check_revoked_device_is_cut(self, told: Callable[[], object]) -> None:
        """Its session ends, nothing arrives, and a broker that was `told` of its certificate lets it in no more."""
        fleet.revoke(self.centre.store, self.device.id)
        told()
        assert self.drive(lambda: not self.uplink._parts.link.connected)
        never = self.send(10_000)
        assert not self.drive(never.is_file, 3.0)
        keys = self.device.folder / "keys"
        context = context_of(keys / "ca.crt", keys / "tls.crt", keys / "tls.key")
        assert not greet("127.0.0.1", self.port, context, self.device.id, version=MQTT_311).is_in

    @property
    def said(self) -> str:
        """What the centre's process printed."""
        return Path(self.centre.folder / "run" / "test.log").read_text()

    def close(self) -> None:
        self.uplink.close()
        self.process.terminate()
        self.process.wait(WAIT_S)


@pytest.fixture
def elsewhere(centre: Any) -> Iterator[Callable[..., Elsewhere]]:
    """`elsewhere(port, uplink_toml, broker_toml)`."""
    made: list[Elsewhere] = []

    def make(port: int, uplink_toml: str = "", broker_toml: str = "") -> Elsewhere:
        made.append(Elsewhere(centre, port, uplink_toml, broker_toml))
        return made[-1]

    yield make
    for one in made:
        one.close()
