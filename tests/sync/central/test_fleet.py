"""Making a centre, enrolling devices, revoking them."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from sync.central import fleet
from vedette import config
from vedette.clock import FakeClock
from vedette.enrolment import open_enrolment
from vedette.errors import NotFound, Refused
from vedette.fields import MAX_DEVICE_ID
from vedette.records import keyring
from vedette.sealed import load_identities
from vedette.trust import load_trust


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_centre_keeps_no_key_that_opens_evidence_when_it_is_made(centre: Any) -> None:
    trust = fleet.centre_trust(centre.folder)
    here = {path.stem for path in centre.folder.rglob("*.identity")}

    escrow = {path.stem: load_identities(path)[0].recipient.text for path in centre.escrow.iterdir()}

    assert here == {"triage", "list"}
    assert escrow == {"evidence": trust.evidence[0], "oversight": trust.oversight[0]}


def test_private_keys_are_for_their_owner_only_when_a_centre_is_made(centre: Any) -> None:
    names = ("ca.key", "server.key", "ingest.key", "centre.pem", "list.pem", "triage.identity", "list.identity")

    modes = {mode(centre.folder / "keys" / name) for name in names}

    assert modes | {mode(path) for path in centre.escrow.iterdir()} == {0o600}
    assert (mode(centre.folder / "keys"), mode(centre.escrow)) == (0o700, 0o700)


@pytest.mark.parametrize("place", ["central", "escrow"])
def test_centre_is_refused_when_something_is_there(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir()
    (tmp_path / place / "mine").write_text("mine")

    with pytest.raises(Refused, match="not empty"):
        fleet.make_centre(tmp_path / "central", tmp_path / "escrow", "a/b", clock=FakeClock())
    assert [path.name for path in tmp_path.iterdir()] == [place]


@pytest.mark.parametrize("origin", ["", "a b", "a+b", 'a"b', "ä", "x" * 101, "a\nb"])
def test_centre_is_refused_when_the_log_cannot_have_that_name(tmp_path: Path, origin: str) -> None:
    with pytest.raises(Refused):
        fleet.make_centre(tmp_path / "central", tmp_path / "escrow", origin, clock=FakeClock())


def test_certificates_verify_when_made(centre: Any, device: Any) -> None:
    """Each leaf is signed by the authority, for its one purpose, and OpenSSL takes the authority and its list."""
    keys = centre.folder / "keys"
    authority = certificate(keys / "ca.crt")
    for path, purpose in (
        (keys / "server.crt", x509.oid.ExtendedKeyUsageOID.SERVER_AUTH),
        (keys / "ingest.crt", x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH),
        (device.folder / "keys" / "tls.crt", x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH),
    ):
        leaf = certificate(path)
        leaf.verify_directly_issued_by(authority)
        assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [purpose]
    names = certificate(keys / "server.crt").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
    context.load_verify_locations(str(keys / "crl.pem"))


def test_device_has_all_it_needs_when_it_is_enrolled(centre: Any, device: Any) -> None:
    trust = load_trust(device.folder / "trust.json")
    loaded = config.load_device(device.folder / "device.toml")

    record = open_enrolment((device.folder / "keys" / "enrolment").read_bytes(), keyring(trust.centre))

    assert (record.device, record.key) == (device.id, device.key.public)
    assert centre.store.enrolment(device.id) == (device.folder / "keys" / "enrolment").read_bytes()
    assert (loaded.uplink.host, loaded.uplink.port) == ("127.0.0.1", 18883)
    assert (device.folder / "device.toml").read_text().startswith("# mine\n")
    assert load_identities(device.folder / "keys" / "list.identity")
    assert mode(device.folder / "keys" / "tls.key") == 0o600
    names = certificate(device.folder / "keys" / "tls.crt").subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    assert [name.value for name in names] == [device.id]
    names = certificate(device.folder / "keys" / "bulk.crt").subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    assert [name.value for name in names] == [f"{device.id}.bulk"]
    assert mode(device.folder / "keys" / "bulk.key") == 0o600
    assert centre.store.device(device.id).public_key == device.key.public.text


@pytest.mark.embedded
@pytest.mark.parametrize(
    "name", ["centre", "broker", "car-1.bulk", "ab", "Car-1", "car/1", "car+1", "../car", "x" * 65, "car-1\n"]
)
def test_device_is_refused_when_its_id_is_not_to_be_had(centre: Any, name: str) -> None:
    with pytest.raises(Refused):
        fleet.enrol(centre.store, name, centre.folder, port=1)


@pytest.mark.parametrize("revoked", [False, True])
def test_device_is_refused_when_the_id_was_given_before(centre: Any, device: Any, revoked: bool) -> None:
    for name in [device.id] * revoked:
        fleet.revoke(centre.store, name)
    second = centre.stranger("second-folder")

    with pytest.raises(Refused, match="never given twice"):
        fleet.enrol(centre.store, device.id, second.folder, port=1)


def test_device_has_both_connections_when_its_id_is_as_long_as_may_be(centre: Any) -> None:
    """WI-1, WI-59: a certificate's common name has 64 characters at most, and a cut one could be another's."""
    made = centre.device("c" * MAX_DEVICE_ID)

    certificate = x509.load_pem_x509_certificate((made.folder / "keys" / "bulk.crt").read_bytes())
    assert certificate.subject.rfc4514_string() == f"CN={made.id}.bulk"


def test_device_is_refused_with_a_reason_when_its_id_is_too_long(centre: Any) -> None:
    """WI-1."""
    with pytest.raises(Refused, match="is not a device id: 3 to 59 of a-z"):
        fleet.enrol(centre.store, "c" * (MAX_DEVICE_ID + 1), centre.folder, port=1)


def test_device_is_refused_when_its_folder_is_of_another(centre: Any) -> None:
    other = centre.stranger("car-2")

    with pytest.raises(Refused, match="says this device is car-2"):
        fleet.enrol(centre.store, "car-3", other.folder, port=1)
    assert not (other.folder / "trust.json").exists()


@pytest.mark.parametrize("missing", ["device.toml", "keys/sign.pem"])
def test_device_is_not_found_when_it_was_not_made(centre: Any, missing: str) -> None:
    stranger = centre.stranger()
    (stranger.folder / missing).unlink()

    with pytest.raises(NotFound, match="device init"):
        stranger.enrol()


def test_enrolment_can_be_repeated_when_it_was_cut_short(centre: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = centre.stranger()
    with monkeypatch.context() as cut, pytest.raises(KeyboardInterrupt):
        cut.setattr(fleet, "_write_address", _power_cut)
        stranger.enrol()
    assert centre.store.devices() == []

    stranger.enrol()

    assert [row.device for row in centre.store.devices()] == [stranger.id]


def test_revocation_list_names_the_certificate_when_a_device_is_revoked(centre: Any, device: Any) -> None:
    """WI-59: those of both its connections, beside the canary's, which never holds."""
    centre.device("car-2")
    fleet.revoke(centre.store, device.id)

    path = fleet.write_revocations(centre.store)

    revocations = x509.load_pem_x509_crl(path.read_bytes())
    public = certificate(centre.folder / "keys" / "ca.crt").public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey) and revocations.is_signature_valid(public)
    serials = {certificate(device.folder / "keys" / name).serial_number for name in ("tls.crt", "bulk.crt")}
    canary = certificate(centre.folder / "keys" / "canary.pem").serial_number
    assert {one.serial_number for one in revocations} == {*serials, canary}
    assert fleet.device_key(centre.store, device.id) is None
    assert centre.store.device(device.id).revoked_us is not None


def test_unknown_device_is_not_found_when_it_is_revoked(centre: Any) -> None:
    with pytest.raises(NotFound):
        fleet.revoke(centre.store, "car-7")


def _power_cut(*_: Any) -> None:
    raise KeyboardInterrupt
