"""Heads that devices signed, held against the journals that come: what is owed, what is late, what is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sync.central import fleet
from sync.central.case_commands import HOUR_US
from sync.central.heads import LATE_US, MAX_SERVICES, MAX_STARTS
from sync.central.missing import owed_lines
from sync.link import Message
from vedette import topics
from vedette.cli import main
from vedette.clock import iso, uuid7
from vedette.custody import Journal
from vedette.custody_entry import Entry, parse_line
from vedette.custody_heads import Head, Heads
from vedette.keys import SigningKey

SECOND_US = 1_000_000


class Told:
    """A device with a recorder's journal of four lines, whose heads come to an ingest; `at_us` is when it last told."""

    def __init__(self, centre: Any, device: Any, worker: Any) -> None:
        self.centre, self.device, self.worker = centre, device, worker
        self.at_us = 0
        self.journal: Journal = device.journal()
        self.lines = [self.journal.append("camera.fault") for _ in range(3)]

    def record(self, *heads: Entry | Head, device: str = "car-1", key: SigningKey | None = None) -> bytes:
        told = tuple(Head.of(one) if isinstance(one, Entry) else one for one in heads)
        made = Heads(device=device, told_us=self.at_us, time_source="ntp", time_error_us=9, heads=told)
        return made.sign(key or self.device.key)

    def tell(self, *heads: Entry | Head, after_us: int = SECOND_US) -> None:
        """Say these heads and let the ingest settle them."""
        self.centre.clock.advance(after_us)
        self.at_us = self.centre.clock.utc_us()
        self.say(self.record(*heads))

    def say(self, record: bytes) -> None:
        topic = topics.Address(device=self.device.id, name=topics.HEADS).topic
        self.worker.link.waiting.append(Message(topic=topic, payload=record))
        self.worker.step()
        self.centre.clock.advance(SECOND_US)
        self.worker.step()

    def restart(self) -> Entry:
        """Start the recorder again; its first line."""
        self.journal.close()
        self.journal = self.device.journal()
        newest = max(self.journal.folder.glob("*.jsonl"))
        return parse_line(newest.read_bytes().splitlines()[0])

    def cut(self, keep: int) -> Entry:
        """Leave so many lines on the disk, and start the recorder again; its first line then."""
        self.journal.close()
        first, *others = sorted(self.journal.folder.glob("*.jsonl"))
        for path in others:
            path.unlink()
        first.write_bytes(b"".join(first.read_bytes().splitlines(keepends=True)[:keep]))
        return self.restart()

    def upload(self) -> None:
        """Every closed file that is there, in order."""
        self.journal.roll()
        for path in sorted(self.journal.folder.glob("*.jsonl")):
            self.worker.upload(self.device.custody(path))

    @property
    def complaints(self) -> list[str]:
        return [row.text for row in reversed(self.centre.store.quarantine())]

    @property
    def problem(self) -> str | None:
        (chain,) = self.centre.store.chains(self.device.id)
        return chain.problem  # type: ignore[no-any-return]

    @property
    def owed(self) -> list[tuple[int, int]]:
        return [(one.first_seq, one.last_seq) for one in owed_lines(self.centre.store)]


@pytest.fixture
def told(centre: Any, device: Any, worker: Any) -> Told:
    return Told(centre, device, worker)


def test_lines_are_owed_until_they_come(told: Told) -> None:
    """CJ-29. CJ-31. CS-23."""
    told.tell(told.lines[1])
    assert told.owed == [(1, 3)]
    told.tell(told.lines[2])
    (one,) = owed_lines(told.centre.store)
    assert (one.device, one.service, one.first_seq, one.last_seq) == ("car-1", "recorder", 1, 4)
    assert (one.signed_us, one.problem) == (told.at_us, None)
    told.upload()
    assert told.owed == []
    assert (told.problem, told.complaints) == (None, [])
    last = told.journal.append("camera.fault")
    told.tell(last)
    (chain,) = told.centre.store.chains()
    assert (chain.seq, chain.signed_seq, chain.signed_us) == (4, 5, told.at_us)
    assert told.centre.store.db.execute("SELECT count(*) FROM journal_heads").fetchone()[0] == 1


def test_head_that_is_doubled_or_late_is_nothing(told: Told) -> None:
    """CJ-30: messages may be lost, doubled, late and out of order."""
    told.tell(told.lines[2])
    told.tell(told.lines[2])
    second = told.restart()
    told.tell(second)
    told.tell(told.lines[1])
    told.tell(told.lines[2])
    assert (told.complaints, told.owed) == ([], [(1, 5)])
    told.upload()
    told.tell(told.lines[0], after_us=LATE_US)
    assert (told.complaints, told.problem, told.owed) == ([], None, [])


@pytest.mark.parametrize("restarted", [True, False])
def test_journal_that_ends_earlier_than_was_signed_for_is_a_complaint(told: Told, restarted: bool) -> None:
    """CJ-30: with device, service, seq and time, once, whether the service was started again or not."""
    told.tell(told.lines[2])
    signed_us = told.at_us
    lower = told.cut(2) if restarted else told.lines[0]
    for _ in range(3):
        told.tell(lower, after_us=LATE_US)

    (complaint,) = told.complaints
    assert complaint.startswith("car-1: custody of recorder: ")
    assert f"signed for 4 lines at {iso(signed_us)}" in complaint
    assert f"ends at line {lower.seq}" in complaint
    assert told.problem == complaint
    assert told.centre.store.device("car-1").broken_chains == 1
    (one,) = owed_lines(told.centre.store)
    assert (one.last_seq, one.signed_us, one.problem) == (4, signed_us, complaint)


def test_journal_that_ends_earlier_is_no_complaint_within_a_minute(told: Told) -> None:
    """CJ-30: of two messages nobody knows which was said first; the next one tells."""
    told.tell(told.lines[2])
    started = told.cut(2)
    told.tell(started)
    assert told.complaints == []
    told.tell(started, after_us=LATE_US)
    assert len(told.complaints) == 1


def test_another_line_of_the_same_number_is_a_complaint_at_once(told: Told) -> None:
    """CJ-30."""
    told.tell(told.lines[2])
    told.cut(2)
    told.tell(told.journal.append("camera.fault"))
    (complaint,) = told.complaints
    assert complaint == told.problem


def test_line_that_comes_and_is_not_the_one_signed_for_is_a_complaint(told: Told) -> None:
    """CJ-30. CJ-29: a tail that was cut and grew again while nobody heard it; the head before is not forgotten."""
    told.tell(told.lines[2])
    signed_us = told.at_us
    told.cut(2)
    last = [told.journal.append("camera.recovered") for _ in range(4)][-1]
    told.tell(last)
    assert told.complaints == []
    told.upload()

    (complaint,) = set(told.complaints)
    assert complaint == told.problem
    assert (
        f"car-1: custody of recorder: line 4 that came is not the one its device had signed for at {iso(signed_us)}"
        in (complaint)
    )
    assert len(told.centre.store.custody_lines("car-1", "recorder")) == last.seq


def test_head_that_contradicts_a_line_that_is_here_is_a_complaint(told: Told) -> None:
    """CJ-30: once for each start, however often it is said, and however far it has come meanwhile."""
    told.upload()
    started = told.cut(2)
    told.tell(started)
    told.tell(told.journal.append("camera.fault"))
    told.tell(told.journal.append("camera.fault"))
    (complaint,) = told.complaints
    assert complaint == told.problem
    assert "line 3, which its device signed for" in complaint


def test_journals_that_wait_are_read_once_the_chain_is_broken(told: Told) -> None:
    """CJ-30. RC-13: what is kept of a broken chain is kept as far as it verifies in itself."""
    told.journal.roll()
    told.journal.append("camera.fault")
    late = told.journal.roll()
    told.worker.upload(told.device.custody(late))
    assert told.centre.store.chains()[0].waiting == 1
    told.tell(told.lines[2])
    told.tell(told.lines[0], after_us=LATE_US)
    told.worker.step()
    (chain,) = told.centre.store.chains()
    assert (chain.waiting, chain.problem) == (0, told.complaints[0])
    assert len(told.centre.store.custody_lines("car-1", "recorder")) == 1


@pytest.mark.parametrize("starts", [MAX_STARTS, MAX_STARTS + 1])
def test_starts_that_are_kept_are_bounded(told: Told, starts: int) -> None:
    """CJ-29: the newest takes the place of the one before it; the first ones stay."""
    heads = [
        Head(service="recorder", boot=uuid7(told.centre.clock), seq=number + 1, head=f"{number:064x}")
        for number in range(starts)
    ]
    for head in heads:
        told.tell(head, after_us=LATE_US)
    rows = told.centre.store.db.execute("SELECT seq FROM journal_heads ORDER BY seq").fetchall()
    kept = [row[0] for row in rows]
    assert len(kept) == MAX_STARTS
    assert kept == [*range(1, MAX_STARTS), starts]
    assert told.complaints == []


@pytest.mark.parametrize("wrong", ["noise", "cut", "other device", "other key"])
def test_heads_that_do_not_hold_are_quarantined_and_change_nothing(told: Told, wrong: str) -> None:
    """WI-72. CJ-26."""
    record = told.record(told.lines[2])
    key = told.centre.device("car-2").key
    bad = {
        "noise": b"\xff\x00",
        "cut": record[:-1],
        "other device": told.record(told.lines[2], device="car-2"),
        "other key": told.record(told.lines[2], key=key),
    }[wrong]
    told.say(bad)
    (row,) = told.centre.store.quarantine()
    assert (row.device, row.code, row.sent_bytes) == ("car-1", "invalid", len(bad))
    assert (told.owed, told.centre.store.chains()) == ([], [])


def test_heads_of_a_revoked_device_are_not_heard(told: Told) -> None:
    """CJ-26. RC-9."""
    fleet.revoke(told.centre.store, "car-1")
    told.centre.clock.advance(3 * SECOND_US)
    told.worker.step()
    told.tell(told.lines[2])
    assert (told.owed, told.centre.store.chains()) == ([], [])


@pytest.mark.parametrize(("hours", "overdue"), [(71, False), (73, True)])
def test_lines_are_overdue_once_none_came_for_as_long_as_they_may_take(told: Told, hours: int, overdue: bool) -> None:
    """CS-23: however often the device signs for them meanwhile."""
    told.tell(told.lines[0])
    told.tell(told.lines[2], after_us=hours * HOUR_US)
    (one,) = owed_lines(told.centre.store, waits_us=72 * HOUR_US)
    assert one.overdue is overdue
    told.upload()
    told.tell(told.journal.append("camera.fault"))
    (one,) = owed_lines(told.centre.store, waits_us=72 * HOUR_US)
    assert one.overdue is False


def test_command_lists_owed_lines_and_ends_with_10_where_some_are_overdue(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    """CS-23."""
    told.tell(told.lines[2])
    command = ["evidence", "missing", str(told.centre.folder)]
    assert main([*command, "--waits-h", "0"]) == 10  # the store's clock of a test lies in the past of the command's
    said = capsys.readouterr().out
    assert "car-1" in said and "1 to 4" in said and iso(told.at_us) in said and "overdue" in said
    assert main([*command, "--waits-h", "8784", "--json"]) == 0
    (value,) = json.loads(capsys.readouterr().out)
    assert (value["service"], value["first_seq"], value["last_seq"], value["overdue"]) == ("recorder", 1, 4, False)
    assert main([*command, "--device", "car-9"]) == 0


def test_one_loss_is_one_complaint_when_several_messages_that_show_it_come_at_once(told: Told) -> None:
    """CJ-30: once, though a batch of them is settled together."""
    told.tell(told.lines[2])
    lower = told.cut(2)
    told.centre.clock.advance(LATE_US)
    topic = topics.Address(device="car-1", name=topics.HEADS).topic
    for _ in range(3):
        told.centre.clock.advance(SECOND_US // 10)
        told.at_us = told.centre.clock.utc_us()
        told.worker.link.waiting.append(Message(topic=topic, payload=told.record(lower)))
    told.centre.clock.advance(SECOND_US)
    told.worker.step()
    told.centre.clock.advance(SECOND_US)
    told.worker.step()
    assert len(told.complaints) == 1
    rows = told.centre.store.db.execute("SELECT count(*) FROM journal_heads WHERE problem IS NOT NULL").fetchone()
    assert rows[0] == 1


def test_starts_that_were_never_made_do_not_fill_the_store(told: Told, other_boots: Any) -> None:
    """CJ-29, CJ-33: a device that means harm has the key; a line that is here is signed for under ever new starts."""
    told.upload()
    for number in range(MAX_STARTS + 4):
        told.tell(Head(service="recorder", boot=other_boots(), seq=2, head=f"{number:064x}"))
    (count,) = told.centre.store.db.execute("SELECT count(*) FROM journal_heads").fetchone()
    assert count == MAX_STARTS
    assert told.problem is not None


@pytest.mark.parametrize("more", [0, 1])
def test_journals_that_are_none_do_not_fill_the_store(told: Told, other_boots: Any, more: int) -> None:
    """CJ-33: sixteen services of a device, and not one more."""
    for number in range(MAX_SERVICES + more):
        told.tell(Head(service=f"s{number:02}", boot=other_boots(), seq=2, head="ab" * 32))
    (count,) = told.centre.store.db.execute("SELECT count(DISTINCT service) FROM journal_heads").fetchone()
    assert count == MAX_SERVICES
    assert told.complaints == []
    told.tell(Head(service="s00", boot=other_boots(), seq=3, head="ab" * 32))
    (count,) = told.centre.store.db.execute("SELECT count(*) FROM journal_heads").fetchone()
    assert count == MAX_SERVICES + 1


@pytest.fixture
def other_boots(centre: Any) -> Any:
    return lambda: uuid7(centre.clock)
