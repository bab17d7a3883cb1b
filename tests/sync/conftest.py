"""Real servers on free loopback ports: a Mosquitto with TLS 1.3, client certificates and the access list of the product
(or a newer one than Debian has), a PostgreSQL, and moto's S3."""

from __future__ import annotations

import datetime
import functools
import hashlib
import ipaddress
import logging
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from ports import free_port

from sync.link import Will
from sync.paho_link import LinkConfig

_CONFIG = """
listener {port} 127.0.0.1
cafile {folder}/ca.crt
certfile {folder}/server.crt
keyfile {folder}/server.key
require_certificate true
use_identity_as_username true
use_username_as_clientid true
tls_version tlsv1.3
allow_anonymous false
acl_file {folder}/acl
persistence false
max_packet_size 2097152
set_tcp_nodelay true
user {user}
log_dest file {folder}/mosquitto.log
"""
NEWER = Path(__file__).parents[2] / "build" / "mosquitto-2.1"
RUN_NEWER = """#!/bin/sh
exec {root}/lib64/ld-linux-x86-64.so.2 --library-path {root}/lib/x86_64-linux-gnu {root}/sbin/mosquitto "$@"
"""
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 2 << 30
KEPT_DATABASES = 3
_ACL = """
pattern write devices/%u/#
pattern read cmd/%u/#
user central
topic read devices/#
topic write cmd/#
"""


@dataclass
class Authority:
    """A certificate authority of a test; it writes `<name>.crt` and `<name>.key` into `folder`."""

    folder: Path
    name: str = "ca"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self._write(self.name, self.key, self._build(self.name, self.key, authority=True))

    def issue(self, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self._write(name, key, self._build(name, key, authority=False))

    def _build(self, name: str, key: ec.EllipticCurvePrivateKey, *, authority: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.timezone.utc)
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(alternative, critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def _write(self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        (self.folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.folder / f"{name}.key").write_bytes(pem)


@dataclass
class Broker:
    """One Mosquitto, its certificates and its life."""

    folder: Path
    port: int
    authority: Authority
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [shutil.which("mosquitto", path=_PATH) or "mosquitto", "-c", str(self.folder / "mosquitto.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError((self.folder / "mosquitto.log").read_text())

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            os.kill(self.process.pid, number)
            self.process.wait(10)
            self.process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the broker: its sockets stay open and nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def config(
        self, name: str, *, subscriptions: tuple[str, ...], will: Will | None = None, backlog: int = 0
    ) -> LinkConfig:
        """A link's configuration for a client of that certificate name, which is made when it is not there."""
        if not (self.folder / f"{name}.crt").exists():
            self.authority.issue(name)
        return LinkConfig(
            host="127.0.0.1",
            port=self.port,
            client_id=name,
            ca=self.folder / "ca.crt",
            certificate=self.folder / f"{name}.crt",
            key=self.folder / f"{name}.key",
            subscriptions=subscriptions,
            will=will,
            backlog=backlog,
        )


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[[str], Broker]]:
    """Starts one more broker for this test, in a folder of that name."""
    if shutil.which("mosquitto", path=_PATH) is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    made: list[Broker] = []

    def make(name: str) -> Broker:
        folder = tmp_path / name
        folder.mkdir()
        authority = Authority(folder)
        authority.issue("server")
        # Started as root it would drop to the user mosquitto, who cannot read a test's folder.
        user = "root" if os.geteuid() == 0 else "mosquitto"
        port = free_port()
        (folder / "mosquitto.conf").write_text(_CONFIG.format(port=port, folder=folder, user=user))
        (folder / "acl").write_text(_ACL)
        made.append(Broker(folder=folder, port=port, authority=authority))
        made[-1].start()
        return made[-1]

    yield make
    for running in made:
        running.stop()


@pytest.fixture
def broker(make_broker: Callable[[str], Broker]) -> Broker:
    """A running broker of its own for this test."""
    return make_broker("broker")


class Postgres:
    """A PostgreSQL of Debian's in `folder`, on a free loopback port, run by the user postgres."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.binaries = binaries
        self.folder = folder
        self.port = free_port()
        self._made = 0
        data = folder / "data"
        self._run("initdb", "-U", "vedette", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-D", str(data))
        with (data / "postgresql.conf").open("a") as config:
            config.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = '{folder}'\n")
            config.write("shared_buffers = 32MB\nmin_wal_size = 32MB\nmax_wal_size = 128MB\n")
        self.start()

    def start(self) -> None:
        self._run("pg_ctl", "-w", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        """End the server; `immediate` is what a power cut is to it, but for what the kernel still writes."""
        self._run("pg_ctl", "-w", "-D", str(self.folder / "data"), "-m", mode, "stop")

    def database(self, encoding: str = "UTF8") -> str:
        """The address of a new, empty database; it goes when three more were asked for."""
        self._made += 1
        locale = "C.UTF-8" if encoding == "UTF8" else "C"
        of = f"TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE '{locale}' LC_CTYPE '{locale}'"
        self.sql(f"CREATE DATABASE test{self._made} {of}")
        if self._made > KEPT_DATABASES:
            self.sql(f"DROP DATABASE test{self._made - KEPT_DATABASES} WITH (FORCE)")
        return f"{self._address}/test{self._made}"

    def sql(self, statement: str) -> None:
        """Run one statement, as the server's owner and outside of a transaction."""
        psycopg = pytest.importorskip("psycopg")
        with psycopg.connect(f"{self._address}/postgres", autocommit=True) as connection:
            connection.execute(statement)

    @property
    def _address(self) -> str:
        return f"postgresql://vedette@127.0.0.1:{self.port}"

    def _run(self, program: str, *words: str) -> None:
        command = [str(self.binaries / program), *words]
        if os.geteuid() == 0:  # it refuses to run as root
            command = ["runuser", "-u", "postgres", "--", *command]
        errors = self.folder / f"{program}.err"
        with errors.open("wb") as told:  # not a pipe, which the server would keep open
            done = subprocess.run(
                command, cwd="/", stdin=subprocess.DEVNULL, stdout=told, stderr=told, timeout=120, check=False
            )
        assert done.returncode == 0, f"{program}: {errors.read_text()}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL; the test is skipped where Debian's package is not installed.

    The product refuses one that does not wait for the disk; where there is a disk of memory, waiting for it is short.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES
    folder = Path(tempfile.mkdtemp(prefix="vedette-postgres-", dir=MEMORY if in_memory else None))
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    server = Postgres(found[-1].parent, folder)
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Bucket:
    """A new bucket of moto's S3 server: a real HTTP server with the plain subset of S3, which keeps all in memory."""

    endpoint: str
    name: str

    @property
    def toml(self) -> str:
        return f'[blobs]\nurl = "s3://{self.name}/case/store"\nendpoint = "{self.endpoint}"\n'

    @property
    def client(self) -> Any:
        return _s3_client(self.endpoint)


@functools.cache
def _s3_client(endpoint: str) -> Any:
    from botocore.session import get_session

    return get_session().create_client("s3", region_name="us-east-1", endpoint_url=endpoint)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a running S3 server."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def read_once() -> None:
    """Each new session of botocore reads the same two megabytes of JSON; in one test process once is enough."""
    session = pytest.importorskip("botocore.session")
    session.create_loader = functools.cache(session.create_loader)


@pytest.fixture
def make_bucket(s3_server: str, read_once: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bucket]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")

    def make(**options: Any) -> Bucket:
        made = Bucket(endpoint=s3_server, name=f"b{hashlib.sha256(os.urandom(16)).hexdigest()[:20]}")
        made.client.create_bucket(Bucket=made.name, **options)
        return made

    return make


@pytest.fixture(scope="session")
def newer_mosquitto(one_at_a_time: Callable[[str], AbstractContextManager[None]]) -> Path:
    """A folder with Mosquitto 2.1, which Debian 12 lacks: Debian's package of a later release, kept under build/."""
    if shutil.which("mmdebstrap") is None or os.uname().machine != "x86_64":
        pytest.skip("mosquitto 2.1 is fetched by mmdebstrap, on x86-64 only (apt install mmdebstrap)")
    with one_at_a_time(NEWER.name):
        if not (NEWER / "ready").is_file():
            _fetch_newer(NEWER / "root")
    return NEWER / "root" / "usr" / "bin"


def _fetch_newer(root: Path) -> None:
    shutil.rmtree(NEWER, ignore_errors=True)
    NEWER.mkdir(parents=True)
    # A mirror that is some days behind is as good here; the packages' signatures are checked all the same.
    late = '--aptopt=Acquire::Check-Valid-Until "false"'
    fetch = ["mmdebstrap", late, "--variant=extract", "--include=mosquitto", "sid", str(root)]
    try:
        done = subprocess.run(fetch, capture_output=True, text=True, timeout=120, check=False)
        failed = done.stderr.strip()[-200:] if done.returncode else ""
    except subprocess.TimeoutExpired:
        failed = "it took longer than two minutes"
    if failed:
        pytest.skip(f"mmdebstrap cannot fetch mosquitto: {failed}")
    for path in (root / "usr" / "lib" / "x86_64-linux-gnu").glob("*.so.*.*"):
        name, _, number = path.name.partition(".so.")
        short = path.with_name(f"{name}.so.{number.partition(chr(46))[0]}")
        if not short.exists():
            short.symlink_to(path.name)  # ldconfig's work, which an extracted package has not had
    (root / "usr" / "bin" / "mosquitto").write_text(RUN_NEWER.format(root=root / "usr"))
    (root / "usr" / "bin" / "mosquitto").chmod(0o755)
    (NEWER / "ready").touch()
