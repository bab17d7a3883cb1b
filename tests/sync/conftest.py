"""A real Mosquitto on a free loopback port with TLS 1.3, client certificates and the access list of the product."""

from __future__ import annotations

import datetime
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running broker of its own for this test."""
    if shutil.which("mosquitto", path=_PATH) is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    folder = tmp_path / "broker"
    folder.mkdir()
    authority = Authority(folder)
    authority.issue("server")
    # Started as root it would drop to the user mosquitto, who cannot read a test's folder.
    user = "root" if os.geteuid() == 0 else "mosquitto"
    port = free_port()
    (folder / "mosquitto.conf").write_text(_CONFIG.format(port=port, folder=folder, user=user))
    (folder / "acl").write_text(_ACL)
    running = Broker(folder=folder, port=port, authority=authority)
    running.start()
    yield running
    running.stop()
