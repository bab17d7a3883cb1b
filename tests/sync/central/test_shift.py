"""A shift as a fleet manager and an auditor get it: from the centre's rows, from bundles, from any mix of them."""

from __future__ import annotations

import argparse
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sync.central import fleet, shift, shift_commands
from sync.central.export import Wanted, export
from sync.central.heads import JournalHeads
from sync.central.shift import MARGIN_US, JournalFile, seqs_of
from vedette import custody_cli, timeline_source
from vedette.clock import iso, uuid7
from vedette.custody_heads import Head, Heads
from vedette.custody_tail import journal_files, keep_head
from vedette.errors import NotFound, NotTrusted, Refused, Usage
from vedette.keys import SigningKey
from vedette.records import JournalHead
from vedette.sealed import load_identities
from vedette.timeline_account import account
from vedette.timeline_source import Lines

SECOND_US, HOUR_US = 1_000_000, 3_600_000_000


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    nouns = parser.add_subparsers()
    custody_cli.register(nouns)
    shift_commands.register(nouns)
    args = parser.parse_args(["custody", "timeline", *map(str, arguments)])
    return int(args.run(args))


class Car:
    """car-1, whose recorder writes what the real one writes and whose files reach the centre when it sends."""

    def __init__(self, centre: Any, device: Any, worker: Any) -> None:
        self.centre, self.device, self.worker = centre, device, worker
        self.journal = device.journal()
        self.sent: list[Any] = []

    def wait(self, seconds: float) -> None:
        self.centre.clock.advance(round(seconds * SECOND_US))

    def record(self, segments: int = 1, seconds: int = 5) -> str:
        """A recording in segments without a pause between them; its items are at the centre, the journal is not."""
        clock, recording = self.centre.clock, uuid7(self.centre.clock)
        length_us = seconds * SECOND_US
        items = [self.device.item(b"video", recording=recording, sequence=one) for one in range(segments)]
        self.journal.append("recording.started", detail={"activation": "button", "recording": recording})
        utc_us, mono_us = clock.utc_us(), clock.mono_us()
        for number, item in enumerate(items):
            if number:
                self.journal.append("recorder.state", detail={"held": True})
            begun = {"started_us": utc_us + number * length_us, "mono_us": mono_us + number * length_us}
            self.journal.append("segment.opened", item=item.id, detail={"recording": recording, **begun})
            for second in range(1, seconds + 1):
                self.wait(1)
                self.journal.append("segment.checkpoint", item=item.id, detail={"media_us": second * SECOND_US})
            self.wait(0.07)
            last = self.journal.append("segment.closed", item=item.id, detail={"media_us": length_us})
            head = JournalHead(service="recorder", seq=last.seq, head=last.sha256)
            items[number] = self.device.resign(item, journal=head)
        self.journal.append("recording.stopped", detail={"reason": "stopped", "recording": recording})
        for item in items:
            self.worker.upload(item)
        return recording

    def send(self, journal: Any = None, service: str = "recorder") -> Any:
        """Close the journal's file and bring it to the centre; its item."""
        path = (journal or self.journal).roll()
        first = json.loads(path.read_bytes().split(b"\n")[0])
        item = self.device.resign(self.device.custody(path, service), started_us=first["utc_us"])
        self.worker.upload(item)
        self.sent.append(item)
        return item

    def forget(self) -> None:
        """What the keeper does once all has its receipt: only the last line stays."""
        for path in journal_files(self.journal.folder):
            keep_head(path)
            path.unlink()

    def export(self, subject: str, output: Path, *, opened: bool = False) -> Path:
        identities = load_identities(self.centre.escrow / "evidence.identity") if opened else []
        wanted = Wanted(identities=identities, with_sealed=not opened, reason="an audit")
        export(self.centre.store, subject, output, wanted, user="chief")
        return output


@pytest.fixture
def car(centre: Any, device: Any, worker: Any) -> Car:
    return Car(centre, device, worker)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, Any]]]:
    def ask(*arguments: object) -> tuple[int, dict[str, Any]]:
        code = run(*arguments, "--json")
        return code, json.loads(capsys.readouterr().out)

    return ask


def states(said: dict[str, Any]) -> list[tuple[str, str, int]]:
    """(state, why, whole seconds) of each stretch of a second or more."""
    lengths = [(one, (one["to_us"] - one["from_us"]) // SECOND_US) for one in said["stretches"]]
    return [(one["state"], one["why"], long) for one, long in lengths if long]


def notes(said: dict[str, Any]) -> dict[str, str]:
    return {one["kind"]: one["value"] for one in said["notes"]}


def test_account_of_a_centre_is_that_of_the_files_it_was_sent(car: Car, told: Any) -> None:
    """TI-35: also where the device has nothing left but its last line."""
    car.record(segments=2)
    car.send()
    car.wait(20)
    car.record()
    car.send()
    _code, files = told(car.device.folder)
    car.forget()
    code, rows = told(car.centre.folder, "--device", "car-1")
    assert (code, rows["unexplained_us"], rows["key_by"]) == (0, 0, "centre")
    assert [one[::2] for one in states(rows)] == [("recorded", 10), ("standby", 20), ("recorded", 5)]
    for part in ("stretches", "overlays", "notes", "from_us", "to_us", "key"):
        assert rows[part] == files[part], part
    assert next((one.action, one.subject) for one in car.centre.store.accesses()) == ("shift.show", "car-1")
    with pytest.raises(Refused, match=r"Ask the centre \(vedette custody timeline CENTRAL --device car-1\)"):
        run(car.device.folder)


def test_what_a_keeper_says_later_is_known_of_an_earlier_time(car: Car, told: Any) -> None:
    """TI-35, TI-26, TI-36."""
    segment, keeper = uuid7(car.centre.clock), car.device.journal("keeper")
    began_us = car.centre.clock.utc_us()
    kept = {"segment": segment, "recording": uuid7(car.centre.clock), "started_us": began_us}
    car.journal.append("ring.opened", detail={**kept, "mono_us": car.centre.clock.mono_us()})
    for second in range(1, 9):
        car.wait(1)
        car.journal.append("ring.checkpoint", detail={"segment": segment, "media_us": second * SECOND_US})
    car.send()
    car.wait(5 * 3600)
    keeper.append("ring.evicted", item=segment)
    car.send(keeper, "keeper")
    _code, said = told(car.centre.folder, "--to", iso(began_us + 6 * SECOND_US))
    assert ("retained", "ring_evicted", 6) in states(said)


def test_a_time_needs_only_its_files_and_its_account_is_that_of_the_whole(car: Car) -> None:
    """TI-36."""
    begun_us = car.centre.clock.utc_us()
    for _ in range(8):
        car.record()
        car.wait(3 * 3600)
        car.send()
    everything, some = Lines(), Lines()
    span = begun_us + 12 * HOUR_US, begun_us + 14 * HOUR_US
    wanted = timeline_source.Wanted(device="car-1", service="recorder", from_us=None, to_us=None, trust=None)
    shift.take(car.centre.store, wanted, everything)
    wanted = timeline_source.Wanted(device="car-1", service="recorder", from_us=span[0], to_us=span[1], trust=None)
    shift.take(car.centre.store, wanted, some)
    counts = [len(one.of("car-1", "recorder")) for one in (some, everything)]
    assert counts[0] <= counts[1] // 2
    whole, part = (account(one).timeline.between(*span) for one in (everything, some))
    assert part.stretches == whole.stretches
    assert part.unexplained_us == 0


def files(*rows: tuple[float, float]) -> list[JournalFile]:
    """Files of ten lines that began and were stored at these hours."""
    times = [(round(began * HOUR_US), round(stored * HOUR_US)) for began, stored in rows]
    return [JournalFile(1 + 10 * index, *one) for index, one in enumerate(times)]


@pytest.mark.parametrize(
    ("there", "seqs"),
    [
        ([], (1, None)),
        ([(10, 10.1)], (1, None)),
        # In order: from the one whose next one began an hour before, to one behind the last within an hour.
        ([(100, 100.1), (105, 105.1), (108, 108.1), (109.5, 110.1), (113.5, 114), (116, 116.1)], (21, 50)),
        # Stored late, all together, by a device that was away.
        ([(100, 300), (105, 300), (108, 300), (110, 300), (114, 300), (120, 300)], (21, 50)),
        # A clock that was never set: what was stored before the time is left out, nothing else.
        ([(100, 100.1), (108, 108.1), (0, 110.5), (0.5, 111), (113.5, 114), (116, 116.1)], (11, 50)),
        # A clock that ran ahead by years in the time that is asked for.
        ([(100, 100.1), (105, 105.1), (9000, 110.5), (111.5, 112), (114, 114.1), (116, 116.1)], (11, 50)),
        # Nothing of the time at all: the files on both sides of it.
        ([(10, 11), (20, 21), (400, 401), (410, 411)], (11, 30)),
    ],
)
def test_files_of_a_time_are_found_whatever_clocks_said(
    there: list[tuple[float, float]], seqs: tuple[int, int | None]
) -> None:
    """TI-36: of the time from 110 h to 112 h."""
    assert seqs_of(files(*there), 110 * HOUR_US, 112 * HOUR_US) == seqs
    assert seqs_of(files(*there), None, None) == (1, None)
    assert MARGIN_US == HOUR_US


def test_more_lines_than_can_be_drawn_are_refused(car: Car, monkeypatch: pytest.MonkeyPatch) -> None:
    """TI-36: at the most, and one more."""
    car.record()
    car.send()
    count = len(journal_files(car.journal.folder)[0].read_bytes().split())
    monkeypatch.setattr(shift, "MAX_LINES", count)
    assert run(car.centre.folder) == 0
    monkeypatch.setattr(shift, "MAX_LINES", count - 1)
    with pytest.raises(Refused, match=f"{count} lines of car-1 are of that time, {count - 1} can be drawn at once"):
        run(car.centre.folder)


def test_lines_that_were_signed_for_and_have_not_come_are_unexplained(car: Car, told: Any) -> None:
    """TI-37: and not where the time ends before them."""
    car.record()
    car.send()
    begun_us = car.centre.clock.utc_us()
    gone = [car.journal.append("camera.fault") for _ in range(4)]
    car.wait(30)
    made = Heads(
        device="car-1",
        told_us=car.centre.clock.utc_us(),
        time_source="ntp",
        time_error_us=9,
        heads=(Head.of(gone[-1]),),
    )
    heads = JournalHeads(car.centre.store)
    heads.take("car-1", made.sign(car.device.key))
    heads.settle()
    code, said = told(car.centre.folder)
    assert (code, notes(said)["signed_not_come"]) == (10, f"{gone[0].seq}–{gone[-1].seq}")
    assert said["stretches"][-1]["why"] == "signed_missing"
    code, said = told(car.centre.folder, "--to", iso(begun_us - SECOND_US))
    assert (code, said["unexplained_us"]) == (0, 0)


def test_what_the_centre_found_wrong_with_the_journal_is_said(car: Car, told: Any) -> None:
    """TI-37."""
    car.record()
    car.send()
    car.journal.append("camera.fault")
    path = car.journal.roll()
    car.worker.upload(car.device.custody(path, damage=lambda plain: plain.replace(b'"seq":', b'"sex":', 1)))
    _code, said = told(car.centre.folder)
    assert notes(said)["problem"].startswith("broken after seq")


def test_it_must_be_said_of_which_device_and_the_centre_must_be_the_trusted_one(
    car: Car, told: Any, tmp_path: Path
) -> None:
    """TI-34, TI-35."""
    car.record()
    car.send()
    trust = car.centre.folder / "trust.json"
    assert told(car.centre.folder, "--trust", trust)[1]["key_by"] == "trust"
    other = fleet.make_centre(tmp_path / "other", tmp_path / "other-keys", "other.example/log", clock=car.centre.clock)
    with pytest.raises(NotTrusted, match="of another centre than your trust file"):
        run(car.centre.folder, "--trust", other.folder / "trust.json")
    car.centre.device("car-2")
    with pytest.raises(Usage, match="2 devices: say of which with --device"):
        run(car.centre.folder)
    with pytest.raises(NotFound, match="car-9"):
        run(car.centre.folder, "--device", "car-9")
    with pytest.raises(NotFound, match="recorder's custody journal of car-2"):
        run(car.centre.folder, "--device", "car-2")


@pytest.mark.embedded
def test_bundles_of_a_recording_miss_nothing_that_was_to_be_in_them(
    car: Car, told: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """TI-38, TI-39, TI-24: a line lies between two segments, and none of its item is in it."""
    recording = car.record(segments=3)
    car.send()
    bundles = car.export(recording, tmp_path / "bundles")
    trust = car.centre.folder / "trust.json"
    code, said = told(bundles, "--trust", trust)
    assert (code, said["unexplained_us"], states(said)) == (0, 0, [("recorded", "", 15)])
    assert "lines_missing" not in notes(said)
    assert [one["kind"] for one in said["notes"]] == ["lines_undisclosed"] * 2
    second = sorted(bundles.iterdir())[1]
    second.unlink()
    code, said = told(*bundles.iterdir(), "--trust", trust)
    assert (code, [one[0] for one in states(said)]) == (10, ["recorded", "unknown", "recorded"])
    for language, words in (("en", "were not disclosed"), ("fr", "pas été remises")):
        run(bundles, "--lang", language)
        assert words in capsys.readouterr().out


@pytest.mark.embedded
@pytest.mark.parametrize("ending", ["", ".zip"])
@pytest.mark.parametrize("opened", [True, False])
def test_bundles_of_a_journal_s_files_are_read(car: Car, told: Any, tmp_path: Path, ending: str, opened: bool) -> None:
    """TI-31, TI-33: the opened file, else the sealed one with an identity; without one it is said which is not read."""
    for _ in range(2):
        car.record()
        car.send()
        car.wait(20)
    paths = [car.export(one.id, tmp_path / f"{one.id}{ending}", opened=opened) for one in car.sent]
    trust, identity = car.centre.folder / "trust.json", car.centre.escrow / "evidence.identity"
    code, said = told(*paths, "--trust", trust, "--identity", identity)
    assert (code, said["unexplained_us"], said["unread"]) == (0, 0, [])
    assert [one[0] for one in states(said)] == ["recorded", "standby", "recorded"]
    if not opened:
        with pytest.raises(NotTrusted, match="sealed to other keys"):
            run(*paths, "--trust", trust)


@pytest.mark.embedded
def test_what_was_not_read_is_said_and_is_no_success(
    car: Car, told: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """TI-33: and not where the same file is there opened."""
    car.record()
    first = car.send()
    car.record()
    second = car.send()
    opened = car.export(first.id, tmp_path / "first.zip", opened=True)
    sealed, again = (car.export(one.id, tmp_path / f"{one.id}.zip") for one in (second, first))
    code, said = told(opened, sealed, again)
    assert (code, said["unexplained_us"]) == (NotTrusted.exit_code, 0)
    assert [Path(one["name"]) for one in said["unread"]] == [sealed]
    assert run(opened, sealed, "--lang", "fr") == NotTrusted.exit_code
    assert f"NON LU : {sealed}" in capsys.readouterr().out


@pytest.mark.embedded
def test_key_is_taken_from_bundles_as_their_checkers_take_it(
    car: Car, told: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """TI-32, TI-24: a folder that the keeper has emptied beside bundles, whose key nobody vouches for without trust."""
    recording = car.record(segments=2)
    path = car.export(car.send().id, tmp_path / "file.zip", opened=True)
    bundles = car.export(recording, tmp_path / "bundles")
    car.forget()
    (car.device.folder / "keys" / "sign.pem").unlink()
    trust, key = car.centre.folder / "trust.json", car.device.key.public
    for named in ([path], [bundles], [car.device.folder, bundles, path]):
        assert told(*named, "--trust", trust)[1]["key_by"] == "trust"
        _code, said = told(*named)
        assert (said["key_by"], said["key"]) == ("bundle", key.key_id)
    assert run(path, "--svg", tmp_path / "x.svg") == 0
    assert f"own centre key {car.centre.signer.key.public.key_id} alone" in capsys.readouterr().out
    assert "the key that the bundle itself names" in (tmp_path / "x.svg").read_text()
    other = fleet.make_centre(tmp_path / "other", tmp_path / "other-keys", "other.example/log", clock=car.centre.clock)
    with pytest.raises(NotTrusted, match="of another centre or log"):
        run(path, "--trust", other.folder / "trust.json")
    SigningKey.generate().save(car.device.folder / "keys" / "sign.pem")
    with pytest.raises(NotTrusted, match="different keys of car-1"):
        run(car.device.folder, path)
    assert told(car.device.folder, path, "--key", key.text)[1]["key_by"] == "given"


@pytest.mark.embedded
def test_devices_are_not_mixed(car: Car, told: Any, tmp_path: Path, worker: Any) -> None:
    """TI-34: of two devices' bundles the one that is asked for is drawn, by its own key."""
    other = Car(car.centre, car.centre.device("car-2"), worker)
    paths = []
    for one in (car, other):
        one.record()
        paths.append(one.export(one.send().id, tmp_path / f"{one.device.id}.zip", opened=True))
    with pytest.raises(Usage, match="lines of car-1, car-2: say of which with --device"):
        run(*paths)
    for one in (car, other):
        code, said = told(*paths, "--device", one.device.id)
        assert (code, said["device"], said["key"]) == (0, one.device.id, one.device.key.public.key_id)
    with zipfile.ZipFile(paths[0]) as archive:
        archive.extractall(tmp_path / "mine")
    with zipfile.ZipFile(paths[1]) as archive:
        (tmp_path / "mine" / "keys.json").write_bytes(archive.read("keys.json"))
    with pytest.raises(NotTrusted, match="its key is of car-2, the bundle of car-1"):
        run(tmp_path / "mine")
