"""The audit's trials of who is let in and who may say and hear what (WI-2, WI-10 of docs/spec/wire.md)."""

from __future__ import annotations

import datetime
import ssl
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sync.central import succession
from sync.central.authority import Issued
from sync.central.certificates import CANARY, CANARY_ID
from sync.central.check import Broker, Trial
from sync.central.fleet import CENTRE_ID
from sync.central.greeting import MQTT_311, Answer, context_for, context_of, greet
from sync.central.probe import SETTLE_S, Probe, wait
from sync.link import Will
from vedette.errors import Refused

PLAIN_PORT = 1883
_DENIED = 0x87


def _refused(answer: Answer) -> tuple[bool, str]:
    why = answer.why.rpartition("] ")[2].partition(" (_ssl")[0] or f"reason {answer.code}"
    return not answer.is_in, "let in" if answer.is_in else f"refused: {why}"


def _plain(broker: Broker) -> tuple[bool, str]:
    return _refused(broker.greet(None, broker.device))


def _plain_port(broker: Broker) -> tuple[bool, str]:
    answer = greet(broker.host, PLAIN_PORT, None, broker.device, version=broker.version)
    if answer.code is None:
        return True, f"nothing speaks MQTT without TLS on port {PLAIN_PORT}"
    return not answer.is_in, f"port {PLAIN_PORT} speaks MQTT without TLS: {'lets in' if answer.is_in else 'refuses'}"


def _older_tls(broker: Broker) -> tuple[bool, str]:
    context = broker.context(broker.device)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    return _refused(broker.greet(context, broker.device))


def _no_certificate(broker: Broker) -> tuple[bool, str]:
    return _refused(broker.greet(context_of(succession.trusted(broker.keys)), broker.device))


def _foreign_certificate(broker: Broker) -> tuple[bool, str]:
    context = context_for(succession.trusted(broker.keys), _self_made(broker))
    return _refused(broker.greet(context, broker.device))


def _self_made(broker: Broker) -> Issued:
    """A certificate in the device's name that no authority of ours signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, broker.device)])
    now = datetime.datetime.fromtimestamp(broker.clock.utc_us() // 1_000_000, datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM
    pem = key.private_bytes(form, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Issued(certificate=certificate.public_bytes(form), key=pem, serial="")


def _revoked_new(broker: Broker) -> tuple[bool, str]:
    context = context_of(succession.trusted(broker.keys), broker.keys / CANARY)
    return _refused(broker.greet(context, CANARY_ID))


def _revoked_live(broker: Broker) -> tuple[bool, str]:
    """The centre's way of cutting (cutting.py): a second session with the same certificate name ends the first."""
    with broker.client(broker.other) as live:
        broker.greet(broker.context(broker.other), broker.other)
        ended = wait(lambda: not live.connected)
    return ended, "the older session was ended" if ended else "the older session lives on"


def _other_client_id(broker: Broker) -> tuple[bool, str]:
    with broker.client(broker.other) as victim:
        answer = broker.greet(broker.context(broker.device), broker.other)
        time.sleep(SETTLE_S)
        lives = victim.connected
    said = "was refused" if not answer.is_in else "was let in under its own name" if lives else "took its place"
    return lives, f"a device that claimed another's client id {said}"


def _other_username(broker: Broker) -> tuple[bool, str]:
    """Whoever is still itself may write its own topic; under another's name it could not."""
    with broker.listener() as listener:
        listener.subscribe(broker.said_by("+"))
        try:
            with broker.client(broker.device, username=broker.other) as claimant:
                claimant.publish(broker.said_by(broker.device), b"still me")
        except Refused:
            return True, "a device that claimed another's user name was refused"
        is_itself = listener.has(b"still me")
    return is_itself, f"a device that claimed another's user name {'gained nothing' if is_itself else 'became it'}"


def _publish(broker: Broker) -> tuple[bool, str]:
    topics = (broker.said_by(broker.other), broker.said_to(broker.other), broker.said_to(broker.device))
    codes = set()
    with broker.client(broker.other) as victim, broker.listener() as listener:
        victim.subscribe(broker.said_to(broker.other))
        listener.subscribe(broker.said_by("+"))
        for topic in topics:
            with broker.client(broker.device) as attacker:
                codes.add(attacker.publish(topic, b"forged"))
        _mark(broker, listener)
        time.sleep(SETTLE_S)
        heard = {one.topic for client in (victim, listener) for one in client.heard if one.payload == b"forged"}
    told = "and was told" if codes <= {_DENIED, None} else "and was not told"
    return not heard, f"reached {', '.join(sorted(heard))}" if heard else f"reached nobody, {told}"


def _dotted(broker: Broker) -> tuple[bool, str]:
    """To some brokers a dot is a separator as a slash is, and `devices/a.b/…` is below `devices/a/…`."""
    with broker.listener() as listener:
        listener.subscribe(broker.said_by("+"))
        with broker.client(broker.device) as attacker:
            code = attacker.publish(broker.said_by(f"{broker.device}.x"), b"forged")
        if broker.version == MQTT_311:  # which tells nobody that something was not taken
            is_refused = not listener.has(b"forged", SETTLE_S)
        else:
            is_refused = code in (_DENIED, None)
    return is_refused, "refused" if is_refused else f"taken (reason {code})"


def _subscribe(broker: Broker) -> tuple[bool, str]:
    wishes = (
        *("#", "+/+/+", "devices/#", broker.said_by(broker.other), broker.said_to(broker.other)),
        *(f"cmd/{broker.other}/#", "$share/spy/devices/+/check", "$share/spy/cmd/+/check"),
    )
    leaks = []
    with broker.client(broker.other) as victim, broker.listener() as listener:
        for number, wish in enumerate(wishes):
            with broker.client(broker.device) as attacker:
                attacker.subscribe(wish)
                victim.publish(broker.said_by(broker.other), b"secret up %d" % number)
                listener.publish(broker.said_to(broker.other), b"secret down %d" % number)
                time.sleep(SETTLE_S)
                leaks += [wish for one in attacker.heard if one.payload.startswith(b"secret")]
    return not leaks, f"heard others by {', '.join(sorted(set(leaks)))}" if leaks else "heard nobody else"


def _own(broker: Broker) -> tuple[bool, str]:
    with broker.client(broker.device) as device, broker.listener() as listener:
        device.subscribe(f"cmd/{broker.device}/#")
        listener.subscribe(broker.said_by("+"))
        device.publish(broker.said_by(broker.device), b"up")
        listener.publish(broker.said_to(broker.device), b"down")
        up, down = listener.has(b"up"), device.has(b"down")
    return up and down, f"device to centre: {'heard' if up else 'lost'}; back: {'heard' if down else 'lost'}"


def _will(broker: Broker) -> tuple[bool, str]:
    with broker.listener() as listener:
        listener.subscribe(broker.said_by("+"))
        forged = _leave_will(broker, listener, broker.other)
        own = _leave_will(broker, listener, broker.device)
    seen = f"own will: {'heard' if own else 'lost'}; under another's topic: {'heard' if forged else 'refused'}"
    return own and not forged, seen


def _leave_will(broker: Broker, listener: Probe, owner: str) -> bool:
    payload = f"will {owner}".encode()
    will = Will(topic=broker.said_by(owner), payload=payload)
    try:
        with broker.client(broker.device, will=will) as client:
            client.drop()
    except Refused:
        return False
    return listener.has(payload, 1.0)


def _centre(broker: Broker) -> tuple[bool, str]:
    """Only while no ingest worker has this name: it would be thrown out."""
    context = context_of(succession.trusted(broker.keys), broker.keys / "ingest.crt", broker.keys / "ingest.key")
    with (
        broker.probe(context, CENTRE_ID) as centre,
        broker.client(broker.device) as device,
    ):
        centre.subscribe("devices/#")
        device.subscribe(f"cmd/{broker.device}/#")
        device.publish(broker.said_by(broker.device), b"to the centre")
        centre.publish(broker.said_to(broker.device), b"from the centre")
        up, down = centre.has(b"to the centre"), device.has(b"from the centre")
    return up and down, f"hears devices: {'yes' if up else 'no'}; reaches them: {'yes' if down else 'no'}"


def _mark(broker: Broker, listener: Probe) -> None:
    """Wait until something allowed has come through, so that what was forbidden had its time."""
    with broker.client(broker.device) as device:
        device.publish(broker.said_by(broker.device), b"mark")
    listener.has(b"mark")


CENTRE = Trial(
    name="centre",
    asked="the centre's certificate hears devices/# and writes cmd/#",
    advice="allow user `centre` to read devices/# and write cmd/#",
    run=_centre,
)
ACCESS = (
    Trial(
        name="own-topics",
        asked="a device and the centre's side hear each other",
        run=_own,
        advice="user name = certificate's common name; allow it to write devices/<name>/# and read cmd/<name>/#; "
        "allow users check and check-2 to read devices/+/check and write cmd/+/check",
    ),
    Trial(name="no-tls", asked="a connection without TLS is refused", run=_plain, advice="make this listener TLS only"),
    Trial(
        name="plain-port",
        asked="no other listener without TLS lets anybody in",
        run=_plain_port,
        advice="switch the listener on port 1883 off, or bind it to nothing that others reach",
    ),
    Trial(
        name="tls-1.2",
        asked="TLS older than 1.3 is refused",
        run=_older_tls,
        advice="Mosquitto: `tls_version tlsv1.3`; EMQX and RabbitMQ: `versions` = tlsv1.3 only",
    ),
    Trial(
        name="no-certificate",
        asked="a client without certificate is refused",
        run=_no_certificate,
        advice="Mosquitto: `require_certificate true`, `allow_anonymous false`; "
        "EMQX and RabbitMQ: `verify_peer` with `fail_if_no_peer_cert = true`",
    ),
    Trial(
        name="foreign-certificate",
        asked="a certificate of another authority is refused",
        run=_foreign_certificate,
        advice="the listener's CA file must hold this centre's keys/authorities.pem and nothing else",
    ),
    Trial(
        name="revoked-new",
        asked="a revoked certificate is refused",
        run=_revoked_new,
        advice="give the broker keys/crl.pem (Mosquitto: `crlfile`) and make it read that file again at each change",
    ),
    Trial(
        name="revoked-live",
        asked="a revoked device's live session can be cut",
        run=_revoked_live,
        advice="client id must be the certificate's name, and a second session must end the first (MQTT 3.1.4)",
    ),
    Trial(
        name="client-id",
        asked="a device cannot take another's client id",
        run=_other_client_id,
        advice="Mosquitto: `use_username_as_clientid true`; EMQX: `peer_cert_as_clientid = cn`; "
        "RabbitMQ: `mqtt.ssl_cert_client_id_from = subject_alternative_name`",
    ),
    Trial(
        name="user-name",
        asked="a device cannot take another's user name",
        run=_other_username,
        advice="Mosquitto: `use_identity_as_username true`; EMQX: `peer_cert_as_username = cn`; "
        "RabbitMQ: `mqtt.ssl_cert_login = true`, `ssl_cert_login_from = common_name`",
    ),
    Trial(
        name="publish",
        asked="a device cannot publish under another's topics",
        run=_publish,
        advice="its access list must let it write devices/<its name>/# and nothing else",
    ),
    Trial(
        name="dotted-id",
        asked="a device cannot publish as one whose id is its own, a dot and more",
        run=_dotted,
        advice="RabbitMQ: allow the exact topics, or give no id with a dot and set uplink.bulk_connection = false",
    ),
    Trial(
        name="subscribe",
        asked="a device hears nothing of others",
        run=_subscribe,
        advice="its access list must let it read cmd/<its name>/# and nothing else, also by # and $share",
    ),
    Trial(
        name="will",
        asked="a device's will goes under its own topics only",
        run=_will,
        advice="the access list must also be asked when a will is set or published",
    ),
)
