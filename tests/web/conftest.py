"""A real centre with one enrolled car, one recording of two segments, a custody journal and hits, for the tests of its
pages."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from browser_tab import Tab
from fastapi.testclient import TestClient

from sync.central.fleet import centre_trust, enrol, make_centre
from sync.central.receipts import Signer, accept
from sync.central.store import Store
from sync.central.triage import Triage
from sync.central.web.app import create_app
from vedette import files, hitfile, sealed, spool, verifier
from vedette.clock import FakeClock, uuid7
from vedette.config import WebSection
from vedette.custody import Journal
from vedette.custody_seal import seal_closed
from vedette.hitfile import Hit, MatchedEntry, Position, ReadAlternative
from vedette.identity import Identity
from vedette.keys import SigningKey
from vedette.records import (
    MANIFEST,
    PRIORITY_BULK,
    PRIORITY_HIT,
    JournalHead,
    Manifest,
    Media,
    sign_record,
)

DEVICE = "car-1"
ORIGIN = "vedette.example/log"
PASSWORD = "correct horse battery"
SEGMENT_S = 3
RATE = 10
SIZE = (320, 180)


@dataclass
class Centre:
    """The centre under test and what a device needs to add to it."""

    folder: Path
    escrow: Path
    device_folder: Path
    clock: FakeClock
    segments: list[str] = field(default_factory=list)
    recording: str = ""
    hits: list[str] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return Store(self.folder, self.clock)

    @property
    def evidence_key(self) -> Path:
        return self.escrow / "evidence.identity"

    def key(self) -> SigningKey:
        return SigningKey.load(self.device_folder / "keys" / "sign.pem")

    def take(self, manifest: Manifest, sealed_bytes: bytes) -> None:
        """Store, receipt and triage one item as ingest does."""
        record = sign_record(MANIFEST, manifest.to_body(), self.key())
        incoming = self.folder / "incoming" / manifest.item
        files.write_new(incoming, sealed_bytes)
        self.store.blobs.adopt(incoming, manifest.sealed_sha256)
        signer = Signer(ORIGIN, SigningKey.load(self.folder / "keys" / "centre.pem"))
        accept(self.store, signer, manifest, record)
        Triage(self.store).open_waiting(10)

    def manifest(self, kind: str, item: str, sealed_bytes: bytes, plain: bytes, **changes: object) -> Manifest:
        now_us = self.clock.utc_us()
        values: dict[str, object] = {
            "item": item,
            "kind": kind,
            "device": DEVICE,
            "sealed_sha256": hashlib.sha256(sealed_bytes).hexdigest(),
            "sealed_size": len(sealed_bytes),
            "plain_sha256": hashlib.sha256(plain).hexdigest(),
            "plain_size": len(plain),
            "created_us": now_us,
            "started_us": now_us,
            "ended_us": now_us,
            "time_source": "ntp",
            "time_error_us": 4000,
            "complete": True,
            "priority": PRIORITY_BULK,
            "recording": None,
            "sequence": 0,
            "activation": None,
            "media": None,
            "journal": None,
            "software": "vedette 0.1",
            "models": {},
        }
        return Manifest(**{**values, **changes})  # type: ignore[arg-type]

    def add_segment(self, video: bytes, sequence: int, *, cut_bytes: int = 0, head: JournalHead | None = None) -> str:
        """Seal and store one segment; `cut_bytes` are missing at its end, as after a power cut."""
        item, started_us = uuid7(self.clock), self.clock.utc_us()
        self.clock.advance(SEGMENT_S * 1_000_000)
        sealed_bytes = sealed.seal(video, centre_trust(self.folder).segment_recipients())
        sealed_bytes = sealed_bytes[: len(sealed_bytes) - cut_bytes]
        media = Media(
            codec="h264",
            width=SIZE[0],
            height=SIZE[1],
            duration_us=SEGMENT_S * 1_000_000,
            frames=SEGMENT_S * RATE,
        )
        manifest = self.manifest(
            "segment",
            item,
            sealed_bytes,
            video,
            started_us=started_us,
            ended_us=self.clock.utc_us(),
            recording=self.recording,
            sequence=sequence,
            activation="button",
            media=media,
            complete=not cut_bytes,
            journal=head,
        )
        self.take(manifest, sealed_bytes)
        self.segments.append(item)
        return item

    def add_hit(self, text: str, text_ascii: str, reason: str = "Véhicule volé", *, permille: int = 972) -> str:
        """Seal and store one hit with a drawn crop and context picture."""
        self.clock.advance(7_000_000)
        item, hit_id, now_us = uuid7(self.clock), uuid7(self.clock), self.clock.utc_us()
        entry = MatchedEntry(
            entry="e-1",
            text=text,
            region="MA",
            reason=reason,
            priority="high",
            source="Préfecture de Rabat",
            valid_from_us=now_us - 86_400_000_000,
            valid_to_us=now_us + 30 * 86_400_000_000,
        )
        hit = Hit(
            hit=hit_id,
            device=DEVICE,
            raised_us=now_us,
            time_source="ntp",
            time_error_us=4000,
            text=text,
            text_ascii=text_ascii,
            region="MA",
            confidence_permille=permille,
            looks=5,
            alternatives=(ReadAlternative(text=text.replace("1", "7"), region="MA", confidence_permille=41),),
            entry=entry,
            list_version=3,
            list_issued_us=now_us - 5_400_000_000,
            list_age_us=5_400_000_000,
            models={"reader": "ab" * 32},
            position=Position(lat_e7=340208820, lon_e7=-68416500, accuracy_cm=480, fixed_us=now_us - 900_000),
            track=4,
            first_seen_us=now_us - 1_300_000,
            last_seen_us=now_us - 100_000,
            box_px=(100, 100, 220, 140),
            corners_dpx=(1000, 1000, 2200, 1000, 2200, 1400, 1000, 1400),
        )
        payload = hitfile.pack(hit, pictures(text_ascii))
        sealed_bytes = sealed.seal(payload, centre_trust(self.folder).lead_recipients())
        self.take(self.manifest("hit", item, sealed_bytes, payload, priority=PRIORITY_HIT), sealed_bytes)
        self.hits.append(hit_id)
        return hit_id

    def add_journal(self) -> JournalHead:
        """Write a recorder's journal with one gap, seal it and store it; returns its head."""
        folder = self.device_folder / "journal" / "recorder"
        folder.mkdir(parents=True, exist_ok=True)
        journal = Journal.open(folder, service="recorder", device=DEVICE, key=self.key(), clock=self.clock)
        now_us = self.clock.utc_us()
        journal.append("gap", detail={"from_us": now_us - 4_000_000, "to_us": now_us - 2_500_000, "why": "restart"})
        seq, head = journal.head
        journal.roll()
        recipients = centre_trust(self.folder).lead_recipients()
        for item in seal_closed(journal, self.device_folder / "spool", recipients, identity=Identity()):
            self.take(item.manifest, item.path.read_bytes())
        journal.close()
        return JournalHead(service="recorder", seq=seq, head=head)


def pictures(text: str) -> dict[str, bytes]:
    """A drawn plate and a drawn street around it."""
    crop = np.full((64, 240, 3), 235, np.uint8)
    cv2.rectangle(crop, (2, 2), (237, 61), (40, 40, 40), 2)
    cv2.putText(crop, text, (12, 44), cv2.FONT_HERSHEY_DUPLEX, 1.3, (20, 20, 20), 2, cv2.LINE_AA)
    context = np.linspace(60, 150, 360, dtype=np.uint8)[:, None, None].repeat(640, 1).repeat(3, 2).copy()
    cv2.rectangle(context, (190, 130), (450, 300), (120, 70, 40), -1)
    context[230:262, 260:380] = cv2.resize(crop, (120, 32))
    return {
        name: cv2.imencode(".jpg", picture)[1].tobytes()
        for name, picture in (("crop.jpg", crop), ("context.jpg", context))
    }


def film(first: int) -> bytes:
    """A fragmented MP4 of `SEGMENT_S` seconds, as the recorder writes it."""
    sink = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "200000"}
    with av.open(sink, "w", format="mp4", options=options) as container:
        stream = container.add_stream(
            "libx264", rate=RATE, options={"preset": "ultrafast", "tune": "zerolatency", "g": "10"}
        )
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        noise = np.random.default_rng(first)
        for index in range(SEGMENT_S * RATE):
            picture = noise.integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
            cv2.putText(picture, str(first + index), (60, 130), cv2.FONT_HERSHEY_DUPLEX, 4, (255, 255, 255), 8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return sink.getvalue()


@pytest.fixture(scope="session")
def verify_html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as it lies in a bundle."""
    path = tmp_path_factory.mktemp("page") / verifier.PAGE
    path.write_bytes(verifier.page())
    return path


@pytest.fixture(scope="session")
def films() -> list[bytes]:
    """The plain video of the two segments; each is several sealed chunks long."""
    return [film(0), film(100)]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, films: list[bytes]) -> Centre:
    """The filled centre that each test gets a copy of."""
    root = tmp_path_factory.mktemp("prepared")
    clock = FakeClock()
    make_centre(root / "central", root / "escrow", ORIGIN, clock=clock)
    device_folder = root / "device"
    (device_folder / "keys").mkdir(parents=True)
    SigningKey.generate().save(device_folder / "keys" / "sign.pem")
    (device_folder / "device.toml").write_text(f'[device]\nid = "{DEVICE}"\ndata = "."\n')
    centre = Centre(root / "central", root / "escrow", device_folder, clock)
    enrol(centre.store, DEVICE, device_folder, port=8883)
    centre.store.add_user("amina", PASSWORD, "investigator")
    centre.store.add_user("youssef", PASSWORD, "viewer")
    centre.store.add_user("chief", PASSWORD, "admin")
    spool.make_folders(device_folder / "spool")
    head = centre.add_journal()
    centre.recording = uuid7(clock)
    for sequence, video in enumerate(films):
        centre.add_segment(video, sequence, head=head)
    centre.add_hit("12345|أ|6", "12345A6")
    centre.add_hit("8|ب|1270", "8B1270", "Assurance <b>expirée</b> & contrôle", permille=880)
    return centre


@pytest.fixture
def centre(prepared: Centre, tmp_path: Path) -> Centre:
    """A centre of this test's own."""
    for name in ("central", "escrow", "device"):
        shutil.copytree(prepared.folder.parent / name, tmp_path / name)
    clock = FakeClock(prepared.clock.utc_us(), prepared.clock.mono_us())
    own = Centre(tmp_path / "central", tmp_path / "escrow", tmp_path / "device", clock)
    own.segments, own.hits, own.recording = list(prepared.segments), list(prepared.hits), prepared.recording
    return own


@pytest.fixture
def visitor(centre: Centre) -> Iterator[TestClient]:
    """A browser that is not signed in."""
    app = create_app(centre.store, WebSection(), centre_trust(centre.folder), centre.clock)
    with TestClient(app, headers={"Accept": "text/html"}, follow_redirects=False) as client:
        yield client


SignIn = Callable[[TestClient, str], None]


@pytest.fixture
def sign_in() -> SignIn:
    """Signs a client in as the named user."""

    def signed(client: TestClient, name: str) -> None:
        token = form_token(client.get("/login").text, "door_token")
        answer = client.post("/login", data={"door_token": token, "name": name, "password": PASSWORD, "back": "/"})
        assert answer.status_code == 303, answer.text

    return signed


@pytest.fixture
def investigator(visitor: TestClient, sign_in: SignIn) -> TestClient:
    """A browser in which an investigator is signed in."""
    sign_in(visitor, "amina")
    return visitor


def form_token(page: str, name: str = "form_token") -> str:
    """The first token of that name in a page's forms."""
    return page.split(f'name="{name}" value="', 1)[1].split('"', 1)[0]


@pytest.fixture
def token() -> Callable[[str], str]:
    """Finds the form token in a page."""
    return form_token


@pytest.fixture(scope="module")
def verify_page(chromium: Any, verify_html: Path) -> Iterator[Any]:
    """`verify.html` in a tab; at the end it must have met no error."""
    tab = Tab(chromium, locale="en-GB", offline=True)
    tab.page.goto(verify_html.as_uri())
    yield tab.page
    tab.context.close()
    assert tab.errors == []
