"""The audit's trials of the Unix sockets at which the centre meets its own brokers (WI-75 of docs/spec/wire.md).

Decided here: which sockets are tried, as whom, and who may reach their files. Tried are those of the brokers that
central.toml makes the centre's own, and whatever else listens in `broker/`. The centre's password is said as a name
that nobody has at that time, or the one who has it would be thrown out; it is said to no socket but the centre's own.
"""

from __future__ import annotations

import secrets
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sync.central import mosquitto, shards
from sync.central.broker import broker_name, reachable
from sync.central.check import Broker, Trial
from sync.central.fleet import CENTRE_ID
from sync.central.greeting import Answer, greet_local
from sync.central.mosquitto import CHECK_IDS, WORKER_IDS
from sync.central.worker import names
from sync.paho_session import LocalSocket
from vedette.config import CentralConfig
from vedette.errors import NotFound, Refused

_NOT_FOR_THE_FOLDER = stat.S_IWGRP | stat.S_IRWXO  # who writes in it may put a socket of his own there
_NOT_FOR_THE_SOCKET = stat.S_IWOTH  # who writes to it may connect
_PASSWORDS = (
    "`allow_anonymous false` and `password_file` must hold at the socket, too; start the centre again, which writes "
    "its broker's configuration and passwords anew"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """What is tried at every socket; `run` is a trial's, of the socket that it is given."""

    name: str
    asked: str
    advice: str
    run: Callable[[LocalSocket, Broker], tuple[bool, str]]


def socket_trials(central: CentralConfig, broker: Broker, *, is_alone: bool) -> tuple[Trial, ...]:
    """What is tried of the sockets of the centre's folder, nothing where `broker` is none of central.toml's.

    `is_alone` where no ingest of this centre is running.
    """
    if (broker.host, broker.port) not in {(reachable(host), port) for host, port in shards.addresses(central)}:
        return ()
    own, name = _own(central), _free_name(central, is_alone)
    accepted = (_accepted(name),) if name else ()
    trials = [_trial(form, one) for one in own for form in (*_FORMS, *accepted)]
    trials += [_trial(form, one) for one in _others(central, own) for form in _FORMS]
    return tuple(trials)


def _own(central: CentralConfig) -> list[LocalSocket]:
    """The sockets of the brokers that the centre runs, with its password."""
    count = len(shards.addresses(central)) if central.broker.embedded else 0
    return [mosquitto.local_socket(central.data, broker_name(number)) for number in range(count)]


def _others(central: CentralConfig, own: list[LocalSocket]) -> Iterator[LocalSocket]:
    """Whatever else listens beside them, such as a broker that was one of the centre's before."""
    for path in sorted((central.data / "broker").glob("*.sock")):
        if path not in {one.path for one in own} and _listens(path):
            yield LocalSocket(path=path, password="")


def _listens(path: Path) -> bool:
    try:
        greet_local(path, CHECK_IDS[0])
    except NotFound:
        return False
    return True


def _free_name(central: CentralConfig, is_alone: bool) -> str | None:
    """A name with the centre's password that nobody has now; None where it could be a worker's of another machine."""
    if is_alone:
        return CENTRE_ID
    has_workers_elsewhere = bool(central.store.url and central.blobs.url)
    free = [name for name in WORKER_IDS if name not in names(central.ingest.workers)]
    return free[-1] if free and not has_workers_elsewhere else None


def _trial(form: _Form, one: LocalSocket) -> Trial:
    return Trial(
        name=f"{one.path.stem}-socket-{form.name}",
        asked=f"{one.path.name}: {form.asked}",
        advice=form.advice,
        run=partial(form.run, one),
    )


def _no_user(one: LocalSocket, broker: Broker) -> tuple[bool, str]:
    return _kept_out(one, broker, None, None)


def _wrong_password(one: LocalSocket, broker: Broker) -> tuple[bool, str]:
    return _kept_out(one, broker, CENTRE_ID, secrets.token_urlsafe(32))


def _no_password(one: LocalSocket, broker: Broker) -> tuple[bool, str]:
    return _kept_out(one, broker, CENTRE_ID, None, "")


def _device(one: LocalSocket, broker: Broker) -> tuple[bool, str]:
    return _kept_out(one, broker, broker.device, None, "", one.password or secrets.token_urlsafe(32))


def _kept_out(one: LocalSocket, broker: Broker, user: str | None, *passwords: str | None) -> tuple[bool, str]:
    """Whether this user comes in with none of these passwords. `Refused` where the broker does not say."""
    reasons = set()
    for password in passwords:
        # A broker that keeps to what the client says must not end the centre's own session for it.
        answer = greet_local(one.path, CHECK_IDS[0], user=user, password=password, version=broker.version)
        if answer.is_silence:
            raise Refused(f"what listens at {one.path} says nothing")
        if answer.is_in:
            how = {one.password: "the centre's password", "": "an empty password", None: "no password"}
            return False, "let in" if user is None else f"let in with {how.get(password, 'a wrong password')}"
        reasons.add(_why(answer))
    return True, f"refused: {', '.join(sorted(reasons))}"


def _why(answer: Answer) -> str:
    return answer.why or f"reason {answer.code}"


def _private(one: LocalSocket, broker: Broker) -> tuple[bool, str]:
    """Both must belong to whom the centre's keys belong to."""
    owner = broker.keys.stat().st_uid
    folder, found = one.path.parent.stat(), one.path.lstat()
    wrong = [
        seen
        for is_wrong, seen in (
            (not stat.S_ISSOCK(found.st_mode), "it is no socket"),
            (found.st_mode & _NOT_FOR_THE_SOCKET, "others may connect"),
            (found.st_uid != owner, f"the socket is user {found.st_uid}'s, the keys are {owner}'s"),
            (folder.st_mode & _NOT_FOR_THE_FOLDER, "its folder is open to others, or may be written by a group"),
            (folder.st_uid != owner, f"its folder is user {folder.st_uid}'s, the keys are {owner}'s"),
        )
        if is_wrong
    ]
    modes = f"socket {stat.S_IMODE(found.st_mode):04o}, folder {stat.S_IMODE(folder.st_mode):04o}"
    return not wrong, f"{'; '.join(wrong)} ({modes})" if wrong else f"{modes}, of the keys' owner"


def _accepted(name: str) -> _Form:
    def lets_in(one: LocalSocket, broker: Broker) -> tuple[bool, str]:
        answer = greet_local(one.path, name, user=name, password=one.password, version=broker.version)
        return answer.is_in, f"let in as {name}" if answer.is_in else f"refused as {name}: {_why(answer)}"

    return _Form(
        name="centre",
        asked="the centre's password is taken",
        run=lets_in,
        advice="the broker has another password than keys/broker.password; start the centre again, which tells it anew",
    )


_FORMS = (
    _Form(name="no-user", asked="who gives no user name is refused", run=_no_user, advice=_PASSWORDS),
    _Form(
        name="password",
        asked="the centre's name with a wrong password is refused",
        run=_wrong_password,
        advice=_PASSWORDS,
    ),
    _Form(
        name="no-password",
        asked="the centre's name with an empty password, or none, is refused",
        run=_no_password,
        advice=_PASSWORDS,
    ),
    _Form(name="device", asked="a device's name is refused, whatever its password", run=_device, advice=_PASSWORDS),
    _Form(
        name="file",
        asked="others neither reach the socket nor write in its folder",
        run=_private,
        advice="make the folder broker/ the centre's user's and set its mode to 0750; then start the centre again, "
        "whose broker makes the socket anew",
    ),
)
