"""The officer's page: one file in memory for a screen in the vehicle, in French, English and Arabic.

Decided here: what it says and how it looks. A browser on the device opens it as a file; it asks for nothing, loads
itself anew every two seconds, says so when nobody writes it any more, and is black in stealth. It holds no plate, no
position and no person. It lies in a folder of its own, so that who sees the screen need not see what the services tell
each other. Implements RI-22 of docs/spec/ring.md, CF-11 of docs/spec/camera-fault.md, SG-19 of docs/spec/segment.md and
ST-7 of docs/spec/storage.md.
"""

from __future__ import annotations

import contextlib
import html
import os
from dataclasses import dataclass
from pathlib import Path

from vedette.storage import Storage

FOLDER = "officer"
NAME = "officer.html"
FRESH_MS = 6000
Words = tuple[str, str, str]
LANGUAGES = (("fr", "ltr"), ("en", "ltr"), ("ar", "rtl"))
SILENT: Words = ("La caméra ne répond pas", "The camera does not answer", "الكاميرا لا تستجيب")
OTHER: Words = (
    "Pas d’enregistrement : voir la caméra",
    "Not recording: look at the camera",
    "لا تسجيل: تحقّق من الكاميرا",
)
STATES: dict[str, Words] = {
    "recording": ("Enregistrement en cours", "Recording", "التسجيل جارٍ"),
    "standby": ("En attente d’une activation", "Waiting for an activation", "في انتظار التفعيل"),
    "asleep": ("Caméra en sommeil", "Camera asleep", "الكاميرا في وضع السكون"),
    "thermal": (
        "Trop chaud : la caméra est à l’arrêt jusqu’à une activation",
        "Too hot: the camera rests until an activation",
        "حرارة مرتفعة: الكاميرا متوقفة حتى التفعيل",
    ),
    "starting": ("Démarrage de la caméra", "The camera starts", "الكاميرا قيد التشغيل"),
    "ended": ("La caméra s’est arrêtée", "The camera has ended", "توقّفت الكاميرا"),
    "disk_fault": (
        "Pas d’enregistrement : panne du stockage. Prévenir le responsable et prendre une autre caméra",
        "Not recording: the storage is failing. Tell your supervisor and use another camera",
        "لا تسجيل: عطل في وحدة التخزين. أبلغ المسؤول واستخدم كاميرا أخرى",
    ),
    "silent": SILENT,
}
MUTED: Words = ("Son coupé", "Sound muted", "الصوت مكتوم")
NO_SOUND: Words = (
    "Pas de son : vérifier le micro",
    "No sound: check the microphone",
    "لا يوجد صوت: تحقّق من الميكروفون",
)
FAULTS: dict[str, Words] = {
    "unplugged": ("La caméra ne donne pas d’image", "The camera gives no picture", "الكاميرا لا تعطي أي صورة"),
    "silent": (
        "La caméra n’a pas encore donné d’image",
        "The camera has given no picture yet",
        "لم تعطِ الكاميرا أي صورة بعد",
    ),
    "frozen": ("L’image ne bouge plus", "The picture has stopped moving", "الصورة متجمّدة"),
    "blocked": (
        "On ne voit rien : voir l’objectif",
        "Nothing can be seen: look at the lens",
        "لا يظهر شيء: تحقّق من العدسة",
    ),
    "overexposed": ("L’image est trop claire", "The picture is too bright", "الصورة ساطعة جدًا"),
    "underexposed": ("L’image est trop sombre", "The picture is too dark", "الصورة معتمة جدًا"),
}
KEPT: Words = (
    "Vidéo conservée sans activation, au plus {} h : chiffrée sur cet appareil, non envoyée, puis effacée si personne"
    " ne la demande",
    "Video is kept though nobody activated it, for {} h at most: sealed on this device, not sent, and gone after that"
    " unless somebody asks for it",
    "يُحتفظ بالفيديو دون تفعيل (أقصى مدة بالساعات: {}): مختوم على هذا الجهاز ولا يُرسل، ثم يُمحى ما لم يطلبه أحد",
)
HOUR_LEFT: Words = (
    "Il reste moins d’une heure d’enregistrement",
    "Less than one hour of recording left",
    "بقي أقل من ساعة من التسجيل",
)
LITTLE_LEFT: Words = (
    "Il reste moins de {} min d’enregistrement",
    "Less than {} min of recording left",
    "وقت التسجيل المتبقي (بالدقائق) أقل من: {}",
)
MARKED_GOES_ON: Words = (
    "Stockage plein : l’enregistrement continu est arrêté, l’enregistrement marqué continue",
    "Storage full: continuous recording has stopped, the marked recording goes on",
    "مساحة التخزين ممتلئة: توقّف التسجيل المستمر، ويتواصل التسجيل المُعلَّم",
)
MARKED_CAN: Words = (
    "Stockage plein : l’enregistrement continu est arrêté, un enregistrement marqué reste possible",
    "Storage full: continuous recording has stopped, a marked recording is still possible",
    "مساحة التخزين ممتلئة: توقّف التسجيل المستمر، ولا يزال التسجيل المُعلَّم ممكنًا",
)
NOTHING_CAN: Words = (
    "Stockage plein : plus rien ne peut être enregistré",
    "Storage full: nothing can be recorded",
    "مساحة التخزين ممتلئة: لا يمكن تسجيل أي شيء",
)
DISK_FULL = "disk_full"
HOUR_S = 3600
# With more sections than this the letters are smaller, so that all of it is seen without scrolling.
MOST_LARGE = 4

_STYLE = """
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; align-content: center; padding: 1.2vh 4vw; background: #0d151c;
  color: #e8eef3; font: max(3.2vmin, 17px)/1.35 "Noto Sans", system-ui, "Noto Sans Arabic", sans-serif; }
#fresh, #stale { display: flex; flex-wrap: wrap; gap: 1.6vh; }
section { flex: 1 1 100%; border-radius: 2vmin; padding: 1.2vh 3vw; background: #17222c;
  border-inline-start: 1.6vmin solid #5d7385; }
section.recording { background: #3a1214; border-color: #ff5a5f; }
section.trouble, section.kept { background: #33280f; border-color: #f3c677; }
section.kept { color: #f8e3b8; }
section.full { background: #f3c677; border-color: #b3261e; color: #201703; font-weight: 650; }
body.dense { font-size: max(2.5vmin, 14px); }
p { margin: .12em 0; unicode-bidi: isolate; } p[dir=rtl] { text-align: right; }
section.state p { font-weight: 650; font-size: 1.45em; }
@media (min-aspect-ratio: 1/1) { section.half { flex-basis: 28%; padding-inline: 2vw; } }
[hidden] { display: none !important; }
"""
_STALE = """
const shown = () => { const old = Date.now() - Number(document.body.dataset.writtenMs) > %d;
  document.getElementById("fresh").hidden = old; document.getElementById("stale").hidden = !old; };
shown(); setInterval(shown, 500);
"""
_BLACK = (
    '<!doctype html><html><head><meta charset="utf-8"><meta http-equiv="refresh" content="2"><title></title>'
    "</head><body style='margin:0;background:#000'></body></html>\n"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What the page says: a recorder's state ("silent" where it does not answer), modes, whether sound is missing that
    is expected, for how many hours video without an activation is being kept (0: it is not), what is wrong with the
    camera (empty: nothing), how full the storage is, and at how much time left (seconds) it is said to be low.
    """

    state: str
    stealth: bool = False
    muted: bool = False
    no_sound: bool = False
    kept_h: int = 0
    fault: str = ""
    storage: Storage = Storage.ENOUGH
    warn_s: int = HOUR_S


def page(shown: Shown, *, written_ms: int) -> str:
    """The page as HTML; `written_ms` is UTC in milliseconds, by which it finds that it is old."""
    if shown.stealth:
        return _BLACK
    parts = [_state_section(shown)]
    if shown.storage and shown.state != DISK_FULL:
        parts.append(_section("trouble half" if shown.storage is Storage.LOW else "full", _storage_words(shown)))
    if shown.fault in FAULTS:
        parts.append(_section("trouble half", FAULTS[shown.fault]))
    if shown.no_sound:
        parts.append(_section("trouble half", NO_SOUND))
    if shown.muted:
        parts.append(_section("muted half", MUTED))
    if shown.kept_h:
        parts.append(_section("kept", (KEPT[0].format(shown.kept_h), KEPT[1].format(shown.kept_h),
                                       KEPT[2].format(shown.kept_h))))  # fmt: skip
    dense = ' class="dense"' if len(parts) > MOST_LARGE else ""
    return (
        '<!doctype html>\n<html lang="fr"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline';"
        " script-src 'unsafe-inline'\"><title>Vedette</title>"
        f'<style>{_STYLE}</style></head>\n<body{dense} data-written-ms="{written_ms}">\n'
        f'<div id="fresh">{"".join(parts)}</div>\n'
        f'<div id="stale" hidden>{_section("state trouble", SILENT)}</div>\n'
        f"<script>{_STALE % FRESH_MS}</script></body></html>\n"
    )


def _state_section(shown: Shown) -> str:
    """What the recorder does; where it does nothing for want of room, that."""
    if shown.state == DISK_FULL:
        return _section("state full", _storage_words(shown))
    is_fine = shown.state in ("standby", "asleep", "starting", "ended")
    kind = "recording" if shown.state == "recording" else "" if is_fine else "trouble"
    return _section(f"state {kind}", STATES.get(shown.state, OTHER))


def _storage_words(shown: Shown) -> Words:
    """What the storage still allows; a disk that is full though its step does not say so allows nothing."""
    if shown.storage is Storage.CONTINUOUS_STOPPED:
        return MARKED_GOES_ON if shown.state == "recording" else MARKED_CAN
    if shown.storage is Storage.FULL or shown.state == DISK_FULL:
        return NOTHING_CAN
    if shown.warn_s == HOUR_S:
        return HOUR_LEFT
    minutes = -(-shown.warn_s // 60)
    return LITTLE_LEFT[0].format(minutes), LITTLE_LEFT[1].format(minutes), LITTLE_LEFT[2].format(minutes)


def write(run_dir: Path, shown: Shown, *, written_ms: int) -> None:
    """Leave the page in its folder of the run folder, by one rename; a disk that does not take it stops nothing.

    On an installed device that folder is there already, a link to one that the group `vedette-officer` may enter.
    """
    folder = run_dir / FOLDER
    beside = folder / f".{NAME}.tmp"
    with contextlib.suppress(OSError):
        folder.mkdir(exist_ok=True)
        beside.write_text(page(shown, written_ms=written_ms), encoding="utf-8")
        os.replace(beside, folder / NAME)


def _section(kind: str, words: Words) -> str:
    lines = [
        f'<p lang="{language}" dir="{direction}">{html.escape(text)}</p>'
        for (language, direction), text in zip(LANGUAGES, words, strict=True)
    ]
    return f'<section class="{kind.strip()}">{"".join(lines)}</section>'
