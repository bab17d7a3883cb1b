"""From a match to a sealed item: record, pictures, and the way to the disk."""

import errno
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edge.reader import hits as hits_module
from edge.reader.hits import MAX_WAITING, HitSpool, Match, Moment, make_hit, pictures
from edge.reader.index import build
from edge.reader.vote import Ballot, Rules
from vedette import files, spool
from vedette.clock import uuid7
from vedette.hitfile import Position
from vedette.identity import Identity
from vedette.records import keyring
from vedette.trust import load_trust
from vedette.watchlist import open_list


def consensus(frame_at, look_at, device):
    ballot = Ballot(Rules(min_looks=2, confidence_permille=600))
    for index in range(2):
        ballot.add(look_at("12345|أ|6"), frame_at(index, utc_us=device.clock.utc_us() + index))
    return ballot.consensus()


@pytest.fixture
def hit(device, frame_at, look_at):
    """A hit's record and pictures, new for each call."""
    signer = load_trust(device.config.trust).list_signer
    now_us = device.clock.utc_us()
    opened = open_list(device.signed_list(device.entry(), version=3), keyring(signer), now_us=now_us, newer_than=None)
    (entry,) = build(opened).find("12345|أ|6")
    read = consensus(frame_at, look_at, device)
    found = Match(consensus=read, entry=entry, watchlist=opened, track=4)
    position = Position(lat_e7=340_000_000, lon_e7=-68_000_000, accuracy_cm=250, fixed_us=now_us - 9)
    moment = Moment(
        raised_us=now_us + 7, quality=device.clock.quality(), position=position, models={"reader": "a" * 64}
    )

    def make():
        made = make_hit(found, moment, hit_id=uuid7(device.clock), device="car-1")
        return made, pictures(read.frame, read.best.detection.box_px)

    return make


def open_spool(device, journal=None) -> HitSpool:
    return HitSpool(
        device.config.spool,
        recipients=load_trust(device.config.trust).lead_recipients(),
        journal=journal or device.open_journal(),
        clock=device.clock,
        identity=Identity(software="0"),
    )


def refuse(*_args: object, **_keys: object) -> None:
    raise OSError(errno.ENOSPC, "no space left on device")


def test_record_says_what_was_read_matched_and_where(hit, device) -> None:
    """HT-3."""
    made, _ = hit()
    now_us = device.clock.utc_us()
    assert (made.text, made.text_ascii, made.region, made.looks, made.track) == ("12345|أ|6", "12345A6", "MA", 2, 4)
    assert (made.entry.text, made.entry.reason, made.entry.priority) == ("12345|أ|6", "stolen", "high")
    assert made.entry.entry == device.entry().entry_id
    assert (made.list_version, made.list_issued_us, made.list_age_us) == (3, now_us, 7)
    assert (made.first_seen_us, made.last_seen_us, made.raised_us) == (now_us, now_us + 1, now_us + 7)
    assert made.box_px == (100, 100, 180, 120)
    assert made.corners_dpx == (1000, 1000, 1800, 1000, 1800, 1200, 1000, 1200)
    assert (made.models, made.position and made.position.lat_e7) == ({"reader": "a" * 64}, 340_000_000)


def test_pictures_are_the_plate_with_a_margin_and_the_whole_picture(frame_at) -> None:
    """HT-5."""
    shown = {
        name: cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1)
        for name, jpeg in pictures(frame_at(0), (100, 100, 180, 120)).items()
    }
    assert shown["context.jpg"].shape == (240, 320, 3)
    assert shown["crop.jpg"].shape == (20 + 2 * 10, 80 + 2 * 28, 3)


@pytest.mark.parametrize("box", [(-50, -20, 30, 5), (300, 230, 400, 260), (0, 0, 320, 240), (400, 300, 480, 320)])
def test_crop_stays_within_the_picture_when_the_plate_is_at_its_edge(frame_at, box) -> None:
    """HT-5."""
    assert cv2.imdecode(np.frombuffer(pictures(frame_at(0), box)["crop.jpg"], np.uint8), 1) is not None


def test_context_is_reduced_when_the_picture_is_large(frame_at) -> None:
    """HT-5."""
    large = replace(frame_at(0), i420=np.full((1080 * 3 // 2, 1920), 128, np.uint8))
    context = cv2.imdecode(np.frombuffer(pictures(large, (0, 0, 80, 20))["context.jpg"], np.uint8), 1)
    assert context.shape == (720, 1280, 3)


@pytest.mark.parametrize("recipient", ["triage", "evidence", "oversight"])
def test_hit_opens_with_each_of_its_keys_when_it_was_committed(hit, device, recipient: str) -> None:
    """HT-1, HT-2, HT-4, HT-6."""
    made, shown = hit()
    queue = open_spool(device)
    queue.add(made, shown)
    assert queue.flush() == [made.hit]
    assert device.hits(recipient) == [(made, shown)]
    (item,) = device.items()
    assert (item.item_id, item.manifest.priority, item.manifest.complete) == (made.hit, 0, True)
    assert item.manifest.plain_size == hits_module._plain_size(item.path.read_bytes())


def test_nothing_readable_is_on_the_disk_when_a_hit_is_committed(hit, device) -> None:
    """HT-6, HT-27, HT-28."""
    queue = open_spool(device)
    queue.add(*hit())
    queue.flush()
    disk = device.disk()
    words = (b"12345|", b"12345A6", "|أ|".encode(), b"stolen", b"340000000", b"\xff\xd8\xff\xe0", b"JFIF")
    assert [word for word in words if word in disk] == []


def test_custody_has_the_hit_before_its_manifest_does(hit, device) -> None:
    """HT-28."""
    made, shown = hit()
    queue = open_spool(device)
    queue.add(made, shown)
    queue.flush()
    raised = device.events()[-1]
    assert (raised.event, raised.item, dict(raised.detail)) == ("hit.raised", made.hit, {})
    head = device.items()[0].manifest.journal
    assert head is not None and (head.seq, head.head) == (raised.seq, raised.sha256)


@pytest.mark.parametrize("step", ["file", "journal", "commit"])
def test_hit_waits_in_memory_when_the_disk_does_not_take_it(hit, device, monkeypatch, step: str) -> None:
    """HT-25, HT-28, HT-29."""
    journal = device.open_journal()
    queue = open_spool(device, journal)
    places = {"file": (files, "replace"), "journal": (journal, "append"), "commit": (spool, "commit")}
    with monkeypatch.context() as broken:
        broken.setattr(*places[step], refuse)
        made, shown = hit()
        queue.add(made, shown)
        assert queue.flush() == []
    assert (queue.waiting, queue.failures, device.items()) == (1, 1, [])
    assert queue.flush() == [made.hit]
    assert device.event_names().count("hit.raised") == 1
    assert [one.hit for one, _ in device.hits()] == [made.hit]


def test_oldest_hit_gives_way_when_too_many_wait(hit, device, monkeypatch) -> None:
    """HT-29."""
    queue = open_spool(device)
    monkeypatch.setattr(files, "replace", refuse)
    made = [hit() for _ in range(MAX_WAITING + 1)]
    assert [queue.add(*one) for one in made] == [None] * MAX_WAITING + [made[0][0].hit]
    assert queue.waiting == MAX_WAITING


@pytest.mark.parametrize("cut_at", ["manifest", "rename"])
def test_hit_is_committed_at_the_next_start_when_a_crash_left_it_without_manifest(
    hit, device, monkeypatch, cut_at: str
) -> None:
    """HT-33."""
    journal = device.open_journal()
    queue = open_spool(device, journal)
    made, shown = hit()
    queue.add(made, shown)
    places = {"rename": (spool, "commit"), "manifest": (files, "write_new")}
    with monkeypatch.context() as broken:
        broken.setattr(*places[cut_at], refuse)
        queue.flush()
    journal.close()
    assert open_spool(device).recover() == [made.hit]
    assert device.hits() == [(made, shown)]
    assert device.event_names()[-1] == "hit.recovered"
    assert device.items()[0].manifest.created_us // 1000 == made.raised_us // 1000
    assert list(device.config.spool.glob("hit/*.part")) == []


def test_recovery_leaves_committed_hits_alone_and_keeps_torn_writes(hit, device) -> None:
    """HT-33."""
    queue = open_spool(device)
    queue.add(*hit())
    queue.flush()
    torn = device.config.spool / "hit" / f".{uuid7(device.clock)}.hit.age.part.77.tmp"
    torn.write_bytes(b"age-encryption.org/v1\n-> half")
    before = device.items()
    assert queue.recover() == []
    assert device.items() == before
    assert [path.name for path in (device.config.spool / "quarantine").iterdir()] == [torn.name.lstrip(".")]
