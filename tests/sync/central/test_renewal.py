"""A device's certificate before it ends: asked for with a key of its own, given, put into use, and during an upload."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sync.central import certificates, fleet
from sync.central.authority import Authority
from sync.link import Buffer, Message
from sync.renewal import FIRST_AGAIN_US, MOST_AGAIN_US, Identity, Renewal, is_due
from vedette import files, topics
from vedette.clock import FakeClock
from vedette.errors import Integrity, NotTrusted, VedetteError
from vedette.keys import SigningKey
from vedette.renewal import MAX_CERTIFICATE_BYTES, CertificateRequest, open_certificate_request

DAY_US = 86_400_000_000
LIFE_DAYS = 826  # backdated by one
LATE_DAYS = 600


def pem(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def csr(key: Any, name: str = "car-1") -> bytes:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    built = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return built.public_bytes(serialization.Encoding.PEM)


def ask(owner: Any, request: bytes, **changes: Any) -> bytes:
    fields = {"device": owner.id, "name": owner.id, "request": request, "requested_us": 1, **changes}
    return CertificateRequest(**fields).sign(owner.key)


class Answers:
    """An ingest worker's answers to requests, as bytes."""

    def __init__(self, worker: Any) -> None:
        self.worker = worker
        self.sent: list[tuple[str, bytes]] = []
        worker.link.publish = self.publish

    def publish(self, topic: str, payload: bytes, *, behind: Buffer = b"", retain: bool = False) -> bool:
        self.sent.append((topic, payload))
        return True

    def to(self, device: str, record: bytes) -> list[tuple[str, bytes]]:
        topic = topics.Address(device=device, name=topics.RENEW).topic
        self.worker.link.waiting.append(Message(topic=topic, payload=record))
        self.worker.step()
        sent, self.sent = self.sent, []
        return sent


@pytest.fixture
def answers(worker: Any) -> Answers:
    return Answers(worker)


class Taken:
    """What was put into use."""

    def __init__(self) -> None:
        self.files: list[tuple[str, Path]] = []

    def __call__(self, name: str, path: Path) -> None:
        self.files.append((name, path))


def renewal(device: Any, clock: FakeClock, taken: Taken, *names: str) -> Renewal:
    identities = [Identity(name=name, stem="tls" if name == device.id else "bulk") for name in names or (device.id,)]
    return Renewal(device.id, identities, device.folder / "keys", clock, taken)


def test_certificate_is_due_in_its_last_third_only() -> None:
    """RN-5. At the edge and one beside it; never by a clock that is before its life."""
    edge = [is_due(0, 900, now_us) for now_us in (0, 1, 600, 601, 899, 900, 5000)]

    assert edge == [False, False, False, True, True, True, True]


def test_device_gets_a_new_certificate_when_the_old_one_is_late(centre: Any, device: Any, answers: Answers) -> None:
    """RN-1, RN-5, RN-6. The new pair is one file, and counts from then on."""
    taken, keys = Taken(), device.folder / "keys"
    wants = renewal(device, centre.clock, taken)
    before = wants.next_request(0)
    centre.clock.jump(LATE_DAYS * DAY_US)

    record = wants.next_request(10 * FIRST_AGAIN_US)
    assert record is not None and before is None
    wants.asked(0)
    [(topic, certificate)] = answers.to(device.id, record)
    name = wants.take(certificate)

    assert (topic, name) == (f"cmd/{device.id}/certificate", device.id)
    assert taken.files == [(device.id, keys / "renewed" / "tls.pem")]
    assert Identity(name=device.id, stem="tls").files(keys) == (keys / "renewed" / "tls.pem",) * 2
    assert (keys / "renewed" / "tls.pem").stat().st_mode & 0o777 == 0o600
    pair = serialization.load_pem_private_key((keys / "renewed" / "tls.pem").read_bytes(), None)
    assert pem(keys / "renewed" / "tls.pem").public_key() == pair.public_key() != pem(keys / "tls.crt").public_key()
    assert wants.next_request(20 * MOST_AGAIN_US) is None


def test_new_key_is_in_no_message(centre: Any, device: Any, answers: Answers) -> None:
    """RN-1."""
    centre.clock.jump(LATE_DAYS * DAY_US)
    wants = renewal(device, centre.clock, Taken())
    record = wants.next_request(0)
    assert record is not None
    [(_topic, certificate)] = answers.to(device.id, record)
    wants.take(certificate)

    key = serialization.load_pem_private_key((device.folder / "keys" / "renewed" / "tls.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    secret = key.private_numbers().private_value.to_bytes(32, "big")
    request = open_certificate_request(record, device.id, device.key.public).request
    der = x509.load_pem_x509_csr(request).public_bytes(serialization.Encoding.DER)
    assert (secret in der, b"PRIVATE" in record, b"PRIVATE" in certificate) == (False, False, False)


def test_request_is_repeated_ever_more_slowly_with_the_same_key(centre: Any, device: Any, answers: Answers) -> None:
    """RN-3, RN-5. Answers that were lost cost no second certificate."""
    centre.clock.jump(LATE_DAYS * DAY_US)
    wants, now_us, pauses, given = renewal(device, centre.clock, Taken()), 0, [], set()
    for _ in range(9):
        record, waited_us = None, 0
        while record is None:
            record = wants.next_request(now_us + waited_us)
            waited_us += FIRST_AGAIN_US if record is None else 0
        now_us += waited_us
        pauses.append(waited_us // FIRST_AGAIN_US)
        wants.asked(now_us)
        given |= {payload for _topic, payload in answers.to(device.id, record)}

    assert pauses == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert len(given) == 1
    assert wants.take(given.pop()) == device.id


def test_device_asks_for_both_its_connections(centre: Any, device: Any, answers: Answers) -> None:
    """RN-2, RN-5."""
    keys = device.folder / "keys"
    bulk = f"{device.id}.bulk"
    issued = Authority(centre.folder / "keys").issue_client(bulk, centre.clock.utc_us())
    (keys / "bulk.crt").write_bytes(issued.certificate)
    centre.clock.jump(LATE_DAYS * DAY_US)
    taken = Taken()
    wants = renewal(device, centre.clock, taken, device.id, bulk)

    for now_us in (0, MOST_AGAIN_US):
        record = wants.next_request(now_us)
        assert record is not None
        wants.take(answers.to(device.id, record)[0][1])

    assert [name for name, _path in taken.files] == [device.id, bulk]
    assert wants.next_request(2 * MOST_AGAIN_US) is None


def _strangers(device: Any, key: Any) -> dict[str, bytes]:
    other = SigningKey.generate()
    good = csr(key)
    tampered = bytearray(x509.load_pem_x509_csr(good).public_bytes(serialization.Encoding.DER))
    tampered[-3] ^= 1
    broken = x509.load_der_x509_csr(bytes(tampered)).public_bytes(serialization.Encoding.PEM)
    record = CertificateRequest(device=device.id, name=device.id, request=good, requested_us=1)
    return {
        "another key": record.sign(other),
        "another device": ask(device, good, device="car-2"),
        "another name": ask(device, good, name="centre"),
        "the bulk of another": ask(device, good, name="car-2.bulk"),
        "no request": ask(device, b"hello"),
        "not its key": ask(device, broken),
        "RSA": ask(device, csr(rsa.generate_private_key(65537, 2048))),
        "another curve": ask(device, csr(ec.generate_private_key(ec.SECP384R1()))),
        "no record": b"{}",
        "cut": ask(device, good)[:-1],
        "empty": b"",
    }


def test_centre_gives_nothing_when_the_request_does_not_hold(centre: Any, device: Any, answers: Answers) -> None:
    """RN-2. A person sees what was tried."""
    wrong = _strangers(device, ec.generate_private_key(ec.SECP256R1()))

    given = {name for name, record in wrong.items() if answers.to(device.id, record)}

    assert given == set()
    assert centre.store.db.execute("SELECT count(*) FROM certificates WHERE name = ?", [device.id]).fetchone()[0] == 0
    assert centre.store.db.execute("SELECT count(*) FROM quarantine").fetchone()[0] >= len(wrong) - 3


def test_centre_gives_nothing_to_a_revoked_device(centre: Any, device: Any, answers: Answers) -> None:
    """RN-2, RC-9, WI-18. Not even before the broker has cut it."""
    record = ask(device, csr(ec.generate_private_key(ec.SECP256R1())))
    fleet.revoke(centre.store, device.id)
    centre.clock.advance(2_000_000)

    assert answers.to(device.id, record) == []
    assert answers.worker.ingest.turned_away() == {device.id}
    assert answers.worker.ingest.turned_away() == set()


def test_centre_gives_eight_certificates_a_day_at_most(centre: Any, device: Any, answers: Answers) -> None:
    """RN-3. At the limit, one past it, and the day after."""
    records = [ask(device, csr(ec.generate_private_key(ec.SECP256R1()))) for _ in range(certificates.MAX_RENEWALS + 1)]
    already = centre.store.db.execute("SELECT count(*) FROM certificates").fetchone()[0]
    centre.clock.jump(2 * DAY_US)

    given = [len(answers.to(device.id, record)) for record in records]
    centre.clock.jump(2 * DAY_US)
    later = len(answers.to(device.id, records[-1]))

    assert (given, later) == ([1] * certificates.MAX_RENEWALS + [0], 1)
    total = centre.store.db.execute("SELECT count(*) FROM certificates").fetchone()[0]
    assert total - already == certificates.MAX_RENEWALS + 1


def test_every_certificate_is_revoked_with_its_device(centre: Any, device: Any, answers: Answers) -> None:
    """RN-4."""
    given = answers.to(device.id, ask(device, csr(ec.generate_private_key(ec.SECP256R1()))))[0][1]
    other = centre.device("car-2")
    answers.to(other.id, ask(other, csr(ec.generate_private_key(ec.SECP256R1()))))

    fleet.revoke(centre.store, device.id)

    revoked = {one.serial_number for one in x509.load_pem_x509_crl((centre.folder / "keys" / "crl.pem").read_bytes())}
    mine = {x509.load_pem_x509_certificate(given).serial_number, pem(device.folder / "keys" / "tls.crt").serial_number}
    assert mine <= revoked
    assert pem(other.folder / "keys" / "tls.crt").serial_number not in revoked


def test_device_keeps_the_old_certificate_when_the_answer_does_not_hold(
    centre: Any, device: Any, answers: Answers, tmp_path: Path
) -> None:
    """RN-5."""
    keys, taken = device.folder / "keys", Taken()
    centre.clock.jump(LATE_DAYS * DAY_US)
    wants = renewal(device, centre.clock, taken)
    record = wants.next_request(0)
    assert record is not None
    public = x509.load_pem_x509_csr(open_certificate_request(record, device.id, device.key.public).request).public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    made = fleet.make_centre(tmp_path / "foreign", tmp_path / "foreign-keys", "centre.test/log", clock=centre.clock)
    ours, theirs, now_us = Authority(centre.folder / "keys"), Authority(made.folder / "keys"), centre.clock.utc_us()
    another_key = ours.issue_client(device.id, now_us).certificate
    wrong = [
        (theirs.certify(device.id, public, now_us)[0], NotTrusted),
        (ours.certify("car-2", public, now_us)[0], NotTrusted),
        (ours.certify(device.id, public, now_us - LIFE_DAYS * DAY_US)[0], NotTrusted),
        (b"hello", Integrity),
        (b"", Integrity),
        (b"x" * (MAX_CERTIFICATE_BYTES + 1), Integrity),
    ]

    for answer, kind in wrong:
        with pytest.raises(kind):
            wants.take(answer)
    assert wants.take(another_key) is None
    assert (taken.files, (keys / "renewed" / "tls.pem").exists()) == ([], False)
    assert wants.take(ours.certify(device.id, public, now_us)[0]) == device.id


def test_late_answer_changes_nothing_when_the_certificate_is_in_use(centre: Any, device: Any, answers: Answers) -> None:
    """RN-5."""
    centre.clock.jump(LATE_DAYS * DAY_US)
    taken = Taken()
    wants = renewal(device, centre.clock, taken)
    record = wants.next_request(0)
    assert record is not None
    certificate = answers.to(device.id, record)[0][1]

    assert [wants.take(certificate), wants.take(certificate), len(taken.files)] == [device.id, None, 1]


def test_old_pair_is_whole_when_the_new_one_cannot_be_written(
    centre: Any, device: Any, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RN-6. A full disk; the request stays open and the same answer counts later."""
    centre.clock.jump(LATE_DAYS * DAY_US)
    keys, taken = device.folder / "keys", Taken()
    wants = renewal(device, centre.clock, taken)
    record = wants.next_request(0)
    assert record is not None
    certificate = answers.to(device.id, record)[0][1]

    with monkeypatch.context() as full, pytest.raises(OSError):
        full.setattr(files, "replace", _disk_full)
        wants.take(certificate)
    assert Identity(name=device.id, stem="tls").files(keys) == (keys / "tls.crt", keys / "tls.key")

    assert wants.take(certificate) == device.id


def test_no_request_is_made_when_a_key_file_is_gone(centre: Any, device: Any) -> None:
    centre.clock.jump(LATE_DAYS * DAY_US)
    (device.folder / "keys" / "tls.crt").write_text("damaged")

    assert renewal(device, centre.clock, Taken()).next_request(0) is None


def test_centres_own_certificates_are_renewed_when_late_or_torn(centre: Any) -> None:
    """RN-7. A power cut between key and certificate is mended at the next start."""
    keys, now_us = centre.folder / "keys", centre.clock.utc_us()
    late_us = now_us + LATE_DAYS * DAY_US

    first = certificates.renew_own(keys, "127.0.0.1", fleet.CENTRE_ID, now_us)
    before = pem(keys / "server.crt").serial_number
    second = certificates.renew_own(keys, "127.0.0.1", fleet.CENTRE_ID, late_us)
    third = certificates.renew_own(keys, "127.0.0.1", fleet.CENTRE_ID, late_us)
    (keys / "ingest.key").write_bytes((keys / "server.key").read_bytes())
    fourth = certificates.renew_own(keys, "127.0.0.1", fleet.CENTRE_ID, late_us)

    assert (first, second, third, fourth) == ([], ["server", "ingest"], [], ["ingest"])
    assert pem(keys / "server.crt").serial_number != before
    names = pem(keys / "server.crt").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    with pytest.raises(VedetteError):
        (keys / "ingest.key").write_text("damaged")
        certificates.renew_own(keys, "127.0.0.1", fleet.CENTRE_ID, late_us)


def _disk_full(*_arguments: object, **_more: object) -> None:
    raise OSError(28, "No space left on device")
