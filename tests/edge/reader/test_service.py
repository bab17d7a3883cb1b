"""The reader service, fed through a real frame bus: pictures in, sealed hits out."""

import errno
from collections.abc import Callable

import pytest

from edge.reader.hits import MAX_WAITING
from edge.reader.service import NO_ROOM_US, ROLL_US, IdleReader, open_reader
from edge.recorder.framebus import FrameBusWriter
from vedette import commands, files, spool
from vedette.custody import Journal
from vedette.daemon import read_status
from vedette.errors import NotFound, Refused

FRAME_US = 40_000
SECOND = 1_000_000


class Drive:
    """A recorder's bus and a reader on it; the clock moves with the pictures."""

    def __init__(self, device, eyes, frame_at: Callable) -> None:
        self.device, self.eyes, self.frame_at = device, eyes, frame_at
        self.index = 0
        self.start_recorder()
        self.start_reader()

    def start_recorder(self) -> None:
        self.bus = FrameBusWriter(self.device.config.run / "framebus", width=320, height=240)
        self.index = 0

    def start_reader(self) -> None:
        self.reader = open_reader(self.device.config, self.device.clock, self.eyes)

    def show(self, *greys: int, every_us: int = FRAME_US) -> float:
        """Publish pictures one after another, a step of the reader after each; the last pause it asked for."""
        pause_s = 0.0
        for grey in greys:
            clock = self.device.clock
            clock.advance(every_us)
            self.bus.publish(self.frame_at(self.index, grey=grey, utc_us=clock.utc_us(), mono_us=clock.mono_us()))
            self.index += 1
            pause_s = self.reader.step(clock.mono_us())
        return pause_s

    def wait(self, duration_us: int) -> float:
        self.device.clock.advance(duration_us)
        return self.reader.step(self.device.clock.mono_us())

    def status(self) -> dict:
        self.wait(SECOND)
        return read_status(self.device.config.run, "reader")


@pytest.fixture
def drive(device, eyes, frame_at) -> Drive:
    device.store_list(device.entry(), version=7)
    made = Drive(device, eyes, frame_at)
    made.wait(0)
    made.wait(0)
    return made


def test_hit_is_in_the_spool_when_a_listed_plate_was_seen_twice(drive, device) -> None:
    """HT-3, HT-20, HT-25, WL-50."""
    drive.show(1, 2)
    ((hit, shown),) = device.hits()
    assert (hit.text, hit.looks, hit.list_version, hit.entry.reason) == ("12345|أ|6", 2, 7, "stolen")
    assert hit.last_seen_us - hit.first_seen_us == FRAME_US
    assert shown["crop.jpg"].startswith(b"\xff\xd8") and shown["context.jpg"].startswith(b"\xff\xd8")
    (mark,) = commands.take(device.config.run, "recorder")
    assert (mark["command"], mark["id"], mark["from_us"]) == ("mark", hit.hit, hit.first_seen_us)


def test_hit_comes_once_when_the_car_stays_in_the_picture_and_comes_back(drive, device) -> None:
    """HT-30."""
    drive.show(*range(1, 10))
    drive.show(0, 0, every_us=60 * SECOND)
    drive.show(*range(1, 10))
    assert len(device.items()) == 1
    assert drive.status()["repeats"] == 1


def test_no_hit_when_looks_are_one_unsure_unread_or_of_another_plate(drive, device) -> None:
    """HT-20, HT-24."""
    drive.show(1)
    drive.show(0, every_us=2 * SECOND)
    drive.show(14, 14, 12, 12, *[11] * 6)
    assert device.items() == []
    status = drive.status()
    assert (status["frames"], status["rejected_no_consensus"], status["plates_read"]) == (12, 1, 1)
    assert (status["unsure"], status["unread"], status["hits"]) == (2, 2, 0)


def test_plate_that_matches_nothing_leaves_only_numbers(drive, device) -> None:
    """HT-27."""
    before = device.disk()
    drive.show(*[11] * 30)
    drive.wait(SECOND)
    assert device.disk() == before
    run = b"".join(p.read_bytes() for p in device.config.run.rglob("*") if p.is_file() and p.name != "framebus")
    assert b"777|" not in run and b"777B40" not in run
    assert {type(value) for value in drive.status().values()} <= {int, str, type(None)}


def test_nothing_readable_is_on_the_disk_when_hits_and_custody_were_written(drive, device) -> None:
    """HT-6, HT-27, HT-28, WL-20."""
    drive.show(*[13] * 5)
    drive.reader.close()
    disk = device.disk()
    words = (b"12345|", b"12345A6", b"777|", "|أ|".encode(), b"stolen", b"\xff\xd8\xff\xe0", b"JFIF")
    assert [word for word in words if word in disk] == []
    assert len(device.items()) == 1


def test_two_plates_in_one_picture_are_kept_apart(drive, device) -> None:
    """HT-20."""
    drive.show(*[13] * 4)
    assert [hit.box_px[0] for hit, _ in device.hits()] == [20]
    assert drive.status()["plates_read"] == 2


def test_reader_goes_on_when_the_recorder_was_restarted(drive, device) -> None:
    """HT-20."""
    drive.show(*[0] * 50)
    drive.start_recorder()
    assert drive.wait(3 * SECOND) == 0.5
    drive.show(1, 2)
    assert len(device.items()) == 1


def test_reader_waits_when_there_is_no_bus_or_a_broken_one(device, eyes, run_dir) -> None:
    """HT-25."""
    reader = open_reader(device.config, device.clock, eyes)
    device.clock.advance(5 * SECOND)
    assert reader.step(device.clock.mono_us()) == 0.5
    (run_dir / "framebus").write_bytes(b"no bus")
    device.clock.advance(5 * SECOND)
    assert reader.step(device.clock.mono_us()) == 0.5
    assert read_status(run_dir, "reader")["errors"] == 1


def test_reader_looks_often_when_pictures_come_and_seldom_when_not(drive) -> None:
    """HT-27."""
    assert drive.show(0) == 0.0
    assert drive.wait(0) == 0.02
    assert drive.wait(5 * SECOND) == 0.5


def test_car_is_still_one_hit_when_the_reader_was_killed_and_restarted(drive, device) -> None:
    """HT-31."""
    drive.show(1, 2)
    drive.reader._parts.journal.close()
    drive.start_reader()
    drive.wait(0)
    drive.show(3, 4, 5)
    assert len(device.items()) == 1


def test_car_is_still_one_hit_when_its_hit_was_receipted_and_deleted(drive, device) -> None:
    """HT-31, HT-32."""
    drive.show(1, 2)
    (item,) = device.items()
    device.config.receipts.mkdir(exist_ok=True)
    (device.config.receipts / f"{item.item_id}.receipt").write_bytes(b"checked by the uplink")
    item.path.unlink()
    item.manifest_path.unlink()
    drive.reader._parts.journal.close()
    drive.start_reader()
    drive.wait(0)
    drive.show(3, 4, 5)
    assert device.items() == []


def test_car_is_raised_again_when_the_reader_was_killed_before_the_hit_reached_the_disk(
    drive, device, monkeypatch
) -> None:
    """HT-32."""
    with monkeypatch.context() as broken:
        broken.setattr(files, "replace", full_disk)
        drive.show(1, 2)
    drive.reader._parts.journal.close()
    drive.start_reader()
    drive.wait(0)
    drive.show(3, 4, 5)
    assert len(device.items()) == 1


def test_hit_reaches_the_disk_when_there_is_room_again(drive, device, monkeypatch) -> None:
    """HT-25, HT-29."""
    with monkeypatch.context() as broken:
        broken.setattr(files, "replace", full_disk)
        drive.show(1, 2, 3)
        assert drive.status()["hits_waiting"] == 1
    drive.wait(2 * SECOND)
    assert len(device.items()) == 1
    assert drive.status()["hits_waiting"] == 0


def test_reader_alerts_when_it_started_on_a_full_disk_and_writes_when_there_is_room(
    device, eyes, frame_at, monkeypatch
) -> None:
    """HT-25, HT-29, HT-35."""
    device.store_list(device.entry(), version=7)
    with monkeypatch.context() as broken:
        broken.setattr(Journal, "_begin_file", full_disk)
        broken.setattr(files, "replace", full_disk)
        drive = Drive(device, eyes, frame_at)
        drive.show(0, 0, 1, 2)
        assert [alert["name"] for alert in commands.take(device.config.run, "panel")] == ["hit-high"]
        assert [mark["command"] for mark in commands.take(device.config.run, "recorder")] == ["mark"]
    with monkeypatch.context() as broken:
        broken.setattr(Journal, "_begin_file", full_disk)
        drive.wait(2 * SECOND)
        assert (device.items(), device.events()) == ([], [])
    assert drive.status()["hits_waiting"] == 1
    drive.wait(2 * SECOND)
    assert len(device.hits()) == 1
    assert device.event_names() == ["service.started", "watchlist.accepted", "hit.raised"]
    status = drive.status()
    assert (status["custody"], status["hits"], status["hits_waiting"], status["hits_lost"]) == ("ok", 1, 0, 0)


def test_oldest_hits_give_way_and_the_reader_ends_cleanly_when_the_disk_stays_full(
    device, eyes, frame_at, look_at, monkeypatch
) -> None:
    """HT-29, HT-35."""
    plates = [f"1234{number}|أ|6" for number in range(MAX_WAITING + 2)]
    eyes.sees = {20 + number: [look_at(plate)] for number, plate in enumerate(plates)}
    device.store_list(*(device.entry(plate) for plate in plates))
    monkeypatch.setattr(Journal, "_begin_file", full_disk)
    drive = Drive(device, eyes, frame_at)
    drive.show(0, 0)
    for grey in eyes.sees:
        drive.show(grey, grey)
        drive.show(0, every_us=5 * SECOND)
    status = drive.status()
    assert (status["hits"], status["hits_waiting"], status["hits_lost"]) == (MAX_WAITING + 2, MAX_WAITING, 2)
    assert status["custody"] == "no room"
    drive.reader.close()
    assert device.events() == []


def test_hit_that_a_crash_left_is_committed_when_the_full_disk_has_room_again(drive, device, monkeypatch) -> None:
    """HT-33, HT-35. The disk is full at the start after the crash, and the next hit waits beside the one left."""
    with monkeypatch.context() as broken:
        broken.setattr(spool, "commit", full_disk)
        drive.show(1, 2)
    drive.reader._parts.journal.close()
    with monkeypatch.context() as broken:
        broken.setattr(Journal, "_begin_file", full_disk)
        drive.start_reader()
        drive.wait(0)
        drive.show(3, 4)
        assert drive.status()["hits_waiting"] == 1
        assert device.items() == []
    drive.wait(NO_ROOM_US)
    drive.wait(NO_ROOM_US)
    assert len(device.hits()) == 2
    assert sorted(device.event_names()[-4:]) == [
        "hit.raised", "hit.recovered", "service.started", "watchlist.accepted",
    ]  # fmt: skip
    assert list(device.config.spool.glob("hit/*.part")) == []


def test_journal_begins_without_a_hit_when_there_is_room_again(device, eyes, frame_at, monkeypatch) -> None:
    """HT-35."""
    with monkeypatch.context() as broken:
        broken.setattr(Journal, "_begin_file", full_disk)
        drive = Drive(device, eyes, frame_at)
        drive.wait(NO_ROOM_US)
        assert drive.status()["custody"] == "no room"
    drive.wait(NO_ROOM_US)
    assert device.event_names() == ["service.started"]
    assert drive.status()["custody"] == "ok"


def test_no_alert_when_the_list_has_expired_but_reading_goes_on(drive, device) -> None:
    """WL-51."""
    drive.show(0, every_us=86_400 * SECOND)
    assert [alert["name"] for alert in commands.take(device.config.run, "panel")] == ["list-expired"]
    drive.show(1, 2, 3)
    status = drive.status()
    assert (device.items(), status["list"], status["plates_read"]) == ([], "expired", 1)


def test_hits_come_again_when_a_newer_list_arrives(drive, device) -> None:
    """WL-50, WL-51."""
    drive.show(0, every_us=86_400 * SECOND)
    device.store_list(device.entry(), version=8)
    drive.wait(2 * SECOND)
    drive.wait(0)
    drive.show(1, 2)
    assert [hit.list_version for hit, _ in device.hits()] == [8]


def test_status_tells_version_and_age_of_the_list(drive) -> None:
    """WL-51."""
    status = drive.status()
    assert (status["list"], status["list_version"], status["list_age_s"]) == ("ok", 7, 1)
    assert status["utc_us"] == drive.device.clock.utc_us()
    assert status["list_refusal"] is None


def test_custody_goes_into_the_spool_a_minute_after_a_hit_and_not_without_one(drive, device) -> None:
    """HT-28."""
    drive.show(1, 2)
    drive.wait(ROLL_US)
    assert len(device.items("custody")) == 1
    drive.wait(ROLL_US)
    assert len(device.items("custody")) == 1


def test_custody_is_sealed_when_the_service_stops(drive, device) -> None:
    """HT-28."""
    drive.show(1, 2)
    drive.reader.close()
    assert device.event_names() == ["service.started", "watchlist.accepted", "hit.raised", "service.stopped"]
    (item,) = device.items("custody")
    assert item.manifest.journal is not None and item.manifest.journal.seq == 4


def test_second_reader_is_refused_while_one_runs(drive, device, eyes) -> None:
    """HT-28."""
    with pytest.raises(Refused, match="another process"):
        open_reader(device.config, device.clock, eyes)


def test_reader_says_what_is_missing_when_the_device_is_not_enrolled(device, eyes) -> None:
    """WL-11."""
    device.config.trust.unlink()
    with pytest.raises(NotFound, match=r"trust\.json"):
        open_reader(device.config, device.clock, eyes)


def test_nothing_is_looked_at_when_reading_is_switched_off(device, eyes, run_dir) -> None:
    """HT-27."""
    reader = open_reader(device.with_reader(enabled=False).config, device.clock, eyes)
    assert isinstance(reader, IdleReader)
    assert reader.step(0) == 1.0
    assert read_status(run_dir, "reader") == {"enabled": False, "utc_us": device.clock.utc_us()}
    reader.close()


def full_disk(*_args: object, **_keys: object) -> None:
    raise OSError(errno.ENOSPC, "no space left on device")
