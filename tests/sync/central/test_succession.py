"""One authority follows another: what a device believes of it and what the centre gives."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from sync.authorities import Authorities, check_next, fingerprint, is_signed_by, load_authorities
from sync.central import authority, certificates, fleet, succession
from sync.central.authority import AUTHORITY_DAYS, Authority
from sync.link import Message
from sync.renewal import FIRST_AGAIN_US, Identity, Renewal
from vedette import cli, files, topics
from vedette.config import IngestSection
from vedette.errors import Integrity, NotTrusted, Refused
from vedette.keys import PublicKey
from vedette.next_authority import NextAuthority, open_next_authority
from vedette.records import keyring
from vedette.wire import Birth

DAY_US = 86_400_000_000
BOOT = "01890000-0000-7000-8000-000000000001"
VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "renewal" / "authority.json").read_text())


def pem(data: bytes | str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(data.encode() if isinstance(data, str) else data)


def prepare(centre: Any) -> str:
    """A next authority, made on a later day, so that it ends later."""
    centre.clock.jump(DAY_US)
    made = succession.prepare(centre.store, "centre.test/log")
    certificates.write_revocations(centre.store)
    return made


class Devices:
    """One device's renewal at the centre's side of the wire: what it asks is answered by an ingest worker."""

    def __init__(self, centre: Any, device: Any, worker: Any) -> None:
        keys = device.folder / "keys"
        self.keys, self.device, self.worker, self.clock = keys, device, worker, centre.clock
        self.sent: list[tuple[str, bytes]] = []
        self.trusted_now: list[Path] = []
        worker.link.publish = self._publish
        authorities = Authorities(keys, keyring(centre.signer.key.public), centre.clock)
        identities = [Identity(name=device.id, stem="tls"), Identity(name=f"{device.id}.bulk", stem="bulk")]
        self.renewal = Renewal(
            device.id, identities, keys, centre.clock, lambda _name, _file: None, authorities, self.trusted_now.append
        )

    def _publish(self, topic: str, payload: bytes, *, behind: bytes = b"", retain: bool = False) -> bool:
        self.sent.append((topic, payload))
        return True

    def say(self, name: str, payload: bytes) -> dict[str, bytes]:
        """Say it to the centre; what it answers, by name."""
        self.sent = []
        self.worker.link.waiting.append(Message(topic=f"devices/{self.device.id}/{name}", payload=payload))
        self.worker.step()
        return {topics.parse_topic(topic).name: payload for topic, payload in self.sent}

    def come(self) -> dict[str, bytes]:
        birth = Birth(online=True, boot=BOOT, software="x", list_version=99, utc_us=1)
        return self.say("birth", birth.encode())

    def renew(self) -> str | None:
        """Ask for the next certificate that is due and take the answer."""
        self.clock.advance(2 * FIRST_AGAIN_US)
        record = self.renewal.next_request(self.clock.mono_us())
        return None if record is None else self.renewal.take(self.say("renew", record)["certificate"])


@pytest.fixture
def prepared(centre: Any, device: Any, make_worker: Any) -> Devices:
    """A device of a centre that has prepared the next authority, and was started since."""
    prepare(centre)
    return Devices(centre, device, make_worker(IngestSection(credit_mib=1, part_kib=16, max_item_mib=4)))


@pytest.mark.parametrize("vector", VECTORS["accept"], ids=lambda one: one["name"])
def test_authority_is_trusted_when_it_may_follow(vector: dict[str, Any]) -> None:
    """RN-8, RN-9."""
    named = open_next_authority(vector["record"].encode(), keyring(PublicKey.from_text(vector["centre"])))

    assert fingerprint(check_next(named.certificate, pem(vector["trusted"]))) == vector["sha256"]


@pytest.mark.parametrize("vector", VECTORS["reject"], ids=lambda one: one["name"])
def test_authority_is_refused_when_it_may_not_follow(vector: dict[str, Any]) -> None:
    """RN-8, RN-9."""
    with pytest.raises((Integrity, NotTrusted)):
        named = open_next_authority(vector["record"].encode(), keyring(PublicKey.from_text(vector["centre"])))
        check_next(named.certificate, pem(vector["trusted"]))


def test_half_of_the_vectors_are_rejects() -> None:
    """RN-8."""
    assert len(VECTORS["reject"]) >= len(VECTORS["accept"])


def test_device_trusts_both_and_gets_certificates_of_the_next_when_it_comes(centre: Any, prepared: Devices) -> None:
    """RN-8, RN-9, RN-10. Told at each birth, trusted once; both connections' certificates follow at once."""
    old, coming = Authority(centre.folder / "keys"), succession.next_authority(centre.folder / "keys")
    assert coming is not None and prepared.renew() is None

    record = prepared.come()["authority"]
    taken = [prepared.renewal.take_authority(record) for _ in range(2)]

    assert taken == [fingerprint(coming.x509), None]
    assert prepared.trusted_now == [prepared.keys / "renewed" / "authorities.pem"]
    assert load_authorities(prepared.trusted_now[0]) == [old.x509, coming.x509]
    assert succession.standing(centre.store).without == ("car-1",)
    assert [prepared.renew(), prepared.renew(), prepared.renew()] == ["car-1", "car-1.bulk", None]
    for stem in ("tls", "bulk"):
        assert is_signed_by(pem((prepared.keys / "renewed" / f"{stem}.pem").read_bytes())[0], coming.x509)
    assert succession.standing(centre.store).without == ()


def test_device_that_was_not_told_gets_certificates_that_it_can_check(centre: Any, prepared: Devices) -> None:
    """RN-10. While both are there, who has not heard of the next one is given what the present one signs."""
    prepared.clock.jump(600 * DAY_US)

    assert prepared.renew() == "car-1"

    given = pem((prepared.keys / "renewed" / "tls.pem").read_bytes())[0]
    assert is_signed_by(given, Authority(centre.folder / "keys").x509)
    assert succession.standing(centre.store).without == ("car-1",)


def test_answer_to_an_old_request_is_nothing_when_an_authority_was_named_meanwhile(prepared: Devices) -> None:
    """RN-10. The key asked with is given up, and the next request says which authority is trusted."""
    prepared.clock.jump(600 * DAY_US)
    record = prepared.renewal.next_request(prepared.clock.mono_us())
    assert record is not None
    late = prepared.say("renew", record)["certificate"]
    prepared.renewal.take_authority(prepared.come()["authority"])

    assert prepared.renewal.take(late) is None

    assert prepared.renew() == "car-1"


def test_nobody_names_an_authority_but_the_centre(centre: Any, device: Any, prepared: Devices) -> None:
    """RN-8, RN-9. What is refused changes nothing; nor does a word where somebody else looks after the file."""
    coming = succession.next_authority(centre.folder / "keys")
    assert coming is not None
    forged = NextAuthority(certificate=coming.certificate, announced_us=1).sign(device.key)
    with pytest.raises(NotTrusted):
        prepared.renewal.take_authority(forged)
    assert not (prepared.keys / "renewed").exists()
    alone = Renewal(device.id, [Identity(name=device.id, stem="tls")], prepared.keys, centre.clock, lambda _n, _f: None)

    assert alone.take_authority(prepared.come()["authority"]) is None

    assert not (prepared.keys / "renewed").exists()


def test_authorities_stay_as_they_were_when_the_disk_is_full(
    prepared: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RN-9. The word comes again at the next birth."""
    record = prepared.come()["authority"]

    def full(*_arguments: object, **_more: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr("sync.authorities.files.replace", full)
        prepared.renewal.take_authority(record)

    assert prepared.renewal.next_request(prepared.clock.mono_us()) is None
    assert prepared.renewal.take_authority(prepared.come()["authority"]) is not None


def test_authorities_that_have_ended_are_let_go_of(prepared: Devices) -> None:
    """RN-9. And never more than four are kept."""
    authorities = Authorities(prepared.keys, keyring(prepared.worker.centre.signer.key.public), prepared.clock)
    key = prepared.worker.centre.signer.key
    counts = []
    for _ in range(6):
        prepared.clock.jump(DAY_US)
        made = authority.make("another", prepared.clock.utc_us())
        authorities.take(NextAuthority(certificate=made.certificate, announced_us=1).sign(key))
        counts.append(len(authorities.trusted()))
    prepared.clock.jump((AUTHORITY_DAYS + 1) * DAY_US)
    made = authority.make("another", prepared.clock.utc_us())
    authorities.take(NextAuthority(certificate=made.certificate, announced_us=1).sign(key))

    assert counts == [2, 3, 4, 4, 4, 4]
    assert len(authorities.trusted()) == 2  # the last one before it and the new one


def test_switch_is_refused_while_a_device_would_be_cut_off(centre: Any, prepared: Devices) -> None:
    """RN-11. Named, revoked or reached: each is a way on."""
    centre.device("car-2")
    centre.device("car-3")
    fleet.revoke(centre.store, "car-3")
    prepared.renewal.take_authority(prepared.come()["authority"])
    prepared.renew()

    with pytest.raises(Refused, match="1 devices have no certificate of the next authority: car-2"):
        succession.switch(centre.store)

    before = succession.next_authority(centre.folder / "keys")
    assert before is not None
    assert succession.switch(centre.store, frozenset({"car-2"})) == fingerprint(before.x509)
    assert Authority(centre.folder / "keys").x509 == before.x509


@pytest.mark.parametrize("cut_at", range(4))
def test_switch_can_be_repeated_when_it_was_cut_short(
    centre: Any, cut_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RN-11. At whichever file the power went."""
    keys = centre.folder / "keys"
    former = Authority(keys).x509
    prepare(centre)
    coming = succession.next_authority(keys)
    assert coming is not None
    written: list[Path] = []

    def write(path: Path, *arguments: Any, real: Any = files.replace, **more: Any) -> None:
        if len(written) == cut_at:
            raise KeyboardInterrupt
        written.append(path)
        real(path, *arguments, **more)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("sync.central.succession.files.replace", write)
        succession.switch(centre.store)

    with contextlib.suppress(Refused):  # all is done but the file that is written anew at each start
        succession.switch(centre.store)
    succession.write_trusted(keys, centre.clock.utc_us())

    assert (Authority(keys).x509, (keys / succession.NEXT).exists()) == (coming.x509, False)
    assert load_authorities(keys / succession.TRUSTED) == [coming.x509, former]
    assert certificates.renew_own(keys, "127.0.0.1", fleet.CENTRE_ID, centre.clock.utc_us()) == ["server", "ingest"]


def test_former_authority_is_let_in_until_it_ends(centre: Any) -> None:
    """RN-12. And no third one is made meanwhile."""
    keys = centre.folder / "keys"
    ends_us = succession.ends_us(keys)
    prepare(centre)
    with pytest.raises(Refused, match="is there already"):
        succession.prepare(centre.store, "centre.test/log")
    succession.switch(centre.store)
    with pytest.raises(Refused, match="cannot overlap"):
        succession.prepare(centre.store, "centre.test/log")
    counts = []
    for now_us in (ends_us - 1, ends_us, ends_us + DAY_US):
        succession.write_trusted(keys, now_us)
        counts.append(len(load_authorities(keys / succession.TRUSTED)))

    assert counts == [2, 1, 1]


def test_certificates_never_outlast_their_authority(centre: Any) -> None:
    """RN-12. And a centre whose authority has ended still starts."""
    keys = centre.folder / "keys"
    ends_us = succession.ends_us(keys)
    ends = []
    for now_us in (ends_us - 825 * DAY_US, ends_us - 824 * DAY_US, ends_us - DAY_US, ends_us + 9 * DAY_US):
        made = pem(Authority(keys).issue_client("car-1", now_us).certificate)[0]
        ends.append(int(made.not_valid_after_utc.timestamp()) * 1_000_000 - ends_us)

    assert ends[:3] == [0, 0, 0] and ends[3] == 8 * DAY_US
    assert certificates.renew_own(keys, "127.0.0.1", fleet.CENTRE_ID, ends_us + 9 * DAY_US) == ["server", "ingest"]


@pytest.mark.parametrize(("days_left", "says"), [(826, False), (825, False), (824, True), (0, True)])
def test_centre_warns_in_time_and_says_what_to_do(
    centre: Any, days_left: int, says: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """RN-12. As long before the end as a certificate lasts, by `status` and by `authority`."""
    now_us = succession.ends_us(centre.folder / "keys") - days_left * DAY_US
    found = succession.standing(centre.store)

    assert (found.is_late(now_us), found.days_left(now_us)) == (says, days_left)
    assert cli.main(["central", "authority", str(centre.folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["next_sha256"] is None
