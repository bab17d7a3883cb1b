"""The centre's list of peers on a device: kept by one rename, never older, and without a restart."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from sync.peer_intake import FIRST_AGAIN_US, MOST_AGAIN_US, PeerIntake
from vedette.enrolment import Enrolment
from vedette.errors import Expired, NotTrusted
from vedette.keys import SigningKey
from vedette.peer_list import PeerList
from vedette.records import keyring

CENTRE = SigningKey.generate()
KEYS = {name: SigningKey.generate() for name in ("car-1", "cam-7", "cam-8")}
Make = Callable[[], PeerIntake]


def listed(version: int, *devices: str, key: SigningKey = CENTRE) -> bytes:
    peers = {device: KEYS[device].public for device in devices}
    return PeerList(version=version, issued_us=1, group="fleet", peers=peers).sign(key)


def names(intake: PeerIntake) -> set[str]:
    return {peer.device for peer in intake.believed().values()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "peers"


@pytest.fixture
def make(folder: Path) -> Make:
    return lambda: PeerIntake(folder, keyring(CENTRE.public), device="car-1")


def copy_enrolment(folder: Path, device: str) -> None:
    folder.mkdir(exist_ok=True)
    record = Enrolment(device=device, key=KEYS[device].public, certificate_serial="1", enrolled_us=1)
    (folder / f"{device}.enrolment").write_bytes(record.sign(CENTRE))


def test_enrolments_copied_by_hand_count_until_the_first_list(make: Make, folder: Path) -> None:
    """AC-27. Who was revoked meanwhile is a peer no more, whatever still lies there."""
    copy_enrolment(folder, "cam-7")
    copy_enrolment(folder, "cam-8")
    intake = make()
    assert (intake.version, names(intake)) == (0, {"cam-7", "cam-8"})
    intake.take(listed(1, "car-1", "cam-8"))
    assert (intake.version, names(intake)) == (1, {"cam-8"})
    assert names(make()) == {"cam-8"}


@pytest.mark.parametrize("version", [3, 4])
def test_list_is_replaced_only_by_a_newer_one_and_outlives_a_restart(make: Make, version: int) -> None:
    """AC-35."""
    make().take(listed(4, "car-1", "cam-7"))
    intake = make()
    with pytest.raises(Expired):
        intake.take(listed(version, "car-1", "cam-7", "cam-8"))
    assert (intake.version, names(intake), names(make())) == (4, {"cam-7"}, {"cam-7"})
    intake.take(listed(5, "car-1"))
    assert names(make()) == set()


@pytest.mark.parametrize("record", [listed(9, "cam-7", "cam-8"), listed(9, "car-1", "cam-8", key=KEYS["cam-8"])])
def test_list_is_refused_when_it_is_for_others_or_by_others(make: Make, record: bytes) -> None:
    """AC-34."""
    intake = make()
    intake.take(listed(4, "car-1", "cam-7"))
    with pytest.raises(NotTrusted):
        intake.take(record)
    assert (intake.version, names(intake)) == (4, {"cam-7"})


@pytest.mark.parametrize("damage", [lambda old: old[:-1], lambda old: b"", lambda old: old.replace(b"cam-7", b"cam-8")])
def test_nobody_is_a_peer_when_the_list_on_the_disk_does_not_hold(
    make: Make, folder: Path, damage: Callable[[bytes], bytes]
) -> None:
    """AC-35. Not even who has an enrolment there; the centre is asked again as if there had been no list."""
    make().take(listed(4, "car-1", "cam-7"))
    copy_enrolment(folder, "cam-7")
    path = folder / "current.peers"
    path.write_bytes(damage(path.read_bytes()))
    intake = make()
    want = intake.next_want(0)
    assert (intake.version, names(intake), want and want.version) == (0, set(), 0)
    intake.take(listed(4, "car-1", "cam-7"))
    assert names(intake) == {"cam-7"}


def test_list_is_left_as_it_was_when_the_disk_takes_no_new_one(
    make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AC-35."""
    intake = make()
    intake.take(listed(4, "car-1", "cam-7"))

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        intake.take(listed(5, "car-1", "cam-8"))
    assert (intake.version, names(intake), names(make())) == (4, {"cam-7"}, {"cam-7"})


def test_centre_is_asked_at_once_in_each_session_and_then_ever_more_rarely(make: Make) -> None:
    """AC-36."""
    intake, now_us, asked = make(), 0, []
    for _ in range(10):
        while intake.next_want(now_us) is None:
            now_us += FIRST_AGAIN_US
        asked.append(now_us)
        intake.asked(now_us)
    pauses = [after - before for before, after in pairwise(asked)]
    assert pauses[:2] == [FIRST_AGAIN_US, 2 * FIRST_AGAIN_US]
    assert max(pauses) == pauses[-1] == MOST_AGAIN_US
    intake.lost_session()
    assert intake.next_want(now_us) is not None
