"""The files for people in a bundle: report, verifiers, ONVIF copy; made from its parts, and checked with them."""

import dataclasses
import io
import json
import re
import shutil
import subprocess
import unicodedata
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import av
import good_bundle
import pytest

from vedette import bundle, bundle_verify, onvif_boxes, records, report_pdf, report_words, verifier
from vedette.bundle_companions import with_companions
from vedette.errors import Integrity, NotFound

VECTORS = Path(__file__).parents[1] / "vectors" / "bundle"
REASON = "Court order 7 <b>& more</b>"
MEDIA = records.Media(codec="h264", width=64, height=48, duration_us=1_000_000, frames=10)


def film() -> bytes:
    sink = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with av.open(sink, "w", format="mp4", options=options) as container:
        video = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for _picture in range(10):
            container.mux(video.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(video.encode(None))
    return sink.getvalue()


@pytest.fixture(scope="module")
def parts() -> Any:
    """A bundle's parts with a real recording and everything for people."""
    made = dataclasses.replace(good_bundle.parts(plain=film(), manifest={"media": MEDIA}), note=REASON)
    return with_companions(made, exported_by="amina")


@pytest.fixture(scope="module")
def whole(parts: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle.make(tmp_path_factory.mktemp("made") / "case.zip", parts)


def test_bundle_holds_everything_for_people_and_verifies(whole: Path) -> None:
    """BU-1, BU-3, BU-28."""
    found = bundle_verify.verify(whole)
    assert found.ok, found.to_text()
    said = next(one for one in found.findings if one.what == "ONVIF copy")
    assert "begins 2026-11-23T08:00:00.000000Z" in said.message
    with zipfile.ZipFile(whole) as archive:
        names = archive.namelist()
        assert archive.read("verify.py") == verifier.script()
        assert archive.read("verify.html") == verifier.page()
    assert names[-5:] == [f"{good_bundle.ITEM}.onvif.mp4", "report.html", "report.pdf", "verify.py", "verify.html"]
    assert len(names) - 1 <= bundle.MAX_FILES


def test_same_parts_make_the_same_report_and_copy(parts: Any, whole: Path, tmp_path: Path) -> None:
    """BU-8: PDF and HTML too."""
    bare = dataclasses.replace(parts, companions={})
    again = bundle.make(tmp_path / "again.zip", with_companions(bare, exported_by="amina"))
    assert again.read_bytes() == whole.read_bytes()


def test_another_time_or_operator_makes_another_report(parts: Any) -> None:
    """BU-8, BU-23."""
    bare = dataclasses.replace(parts, companions={})
    later = with_companions(dataclasses.replace(bare, made_us=bare.made_us + 1_000_000), exported_by="amina")
    other = with_companions(bare, exported_by="youssef")
    for name in ("report_html", "report_pdf"):
        assert len({parts.companions[name], later.companions[name], other.companions[name]}) == 3


class _Text(HTMLParser):
    """The words of each language's part, and every tag."""

    def __init__(self) -> None:
        super().__init__()
        self.language, self.texts, self.tags = "", {"": ""}, set()
        self.pieces: dict[str, list[str]] = {"": []}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "article":
            self.language = dict(attrs)["lang"] or ""
            self.texts[self.language] = ""
            self.pieces[self.language] = []

    def handle_data(self, data: str) -> None:
        self.texts[self.language] += data
        self.pieces[self.language] += [data] if data.strip() else []


def test_report_says_in_each_language_what_the_signed_parts_say(parts: Any) -> None:
    """BU-23."""
    page = _Text()
    page.feed(parts.companions["report_html"].decode())
    manifest = records.peek_manifest(parts.manifest)
    for language in ("fr", "en", "ar"):
        text = page.texts[language]
        for value in (
            manifest.item, manifest.device, manifest.sealed_sha256, str(manifest.plain_sha256), "± 1 ms", "ntp",
            "2026-11-23T08:00:00.000000Z", "vedette.example/log", "6 / 7", parts.signer.public.key_id, "amina", REASON,
            "recorder, 2 – 4", "verify.html", "64 × 48",
        ):  # fmt: skip
            assert value in text, (language, value)
    assert "Rapport de preuve" in page.texts["fr"]
    assert "تقرير الأدلة" in page.texts["ar"]


def test_report_page_runs_nothing_and_loads_nothing(parts: Any) -> None:
    """BU-23: what a person typed is text, not markup."""
    html = parts.companions["report_html"].decode()
    page = _Text()
    page.feed(html)
    assert page.tags & {"script", "img", "link", "iframe", "object", "b"} == set()
    assert "default-src 'none'" in html
    assert re.findall(r"url\(|https?:", html) == []


def test_report_on_paper_has_three_parts_and_its_own_typefaces(parts: Any) -> None:
    """BU-23: text in the PDF is in subsets of the typefaces that lie in it."""
    pdf = parts.companions["report_pdf"]
    assert pdf.startswith(b"%PDF-1.")
    assert pdf.count(b"/FontFile2") >= 4
    assert b"NotoSansArabic" in pdf
    assert len(pdf) < 200_000
    assert [name for name in (b"/JavaScript", b"/Launch", b"/URI", b"/EmbeddedFile") if name in pdf] == []


def squeezed(text: str) -> str:
    """Without white space, which wrapping moves."""
    return "".join(text.split())


def letters(text: str) -> set[str]:
    """The words of a text, each as its letters in sorted order and without vowel signs: readers of PDF turn the letters
    of an Arabic ligature round and set the signs apart.
    """
    plain = "".join(one for one in unicodedata.normalize("NFKC", text) if unicodedata.category(one) not in ("Cf", "Mn"))
    return {"".join(sorted(word)) for word in re.findall(r"\w+", plain)}


def unmarked(text: str) -> str:
    """The words that carry no vowel sign."""
    words = unicodedata.normalize("NFKC", text).split()
    return " ".join(word for word in words if not any(unicodedata.category(one) == "Mn" for one in word))


@pytest.fixture(scope="module")
def on_paper(parts: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The text of the PDF by language, as `pdftotext` reads it; a language begins on the page that has its title."""
    path = tmp_path_factory.mktemp("paper") / "report.pdf"
    path.write_bytes(parts.companions["report_pdf"])
    ended = subprocess.run(
        ["pdftotext", "-raw", "-enc", "UTF-8", path, "-"], capture_output=True, text=True, check=True
    )
    language, texts = "", {"": "", "fr": "", "en": "", "ar": ""}
    titles = {"Rapport de preuve": "fr", "Evidence report": "en"}
    for page in ended.stdout.rstrip("\f").split("\f"):
        first = page.splitlines()[0].strip()
        is_arabic = "".join(sorted("الأدلة")) in letters(first)
        language = titles.get(first, "ar" if is_arabic else language)
        texts[language] += page
    return texts


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed (apt install poppler-utils)")
def test_report_on_paper_says_all_that_the_page_says_in_each_language(parts: Any, on_paper: dict[str, str]) -> None:
    """BU-23: each sentence, label and value in French and English, each word and value in Arabic."""
    page = _Text()
    page.feed(parts.companions["report_html"].decode())
    assert on_paper[""] == ""
    for language, other in (("fr", "en"), ("en", "fr")):
        said = page.pieces[language]
        assert len(said) > 100
        assert [one for one in said if squeezed(one) not in squeezed(on_paper[language])] == []
        assert len([one for one in said if squeezed(one) not in squeezed(on_paper[other])]) > 30
    arabic = letters(unmarked(" ".join(page.pieces["ar"])))
    assert len(arabic) > 200
    assert arabic - letters(on_paper["ar"]) == set()
    assert len(arabic - letters(on_paper["en"])) > 100


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed (apt install poppler-utils)")
@pytest.mark.parametrize("language", ["fr", "en", "ar"])
def test_report_on_paper_has_what_identifies_the_item_in_each_language(
    parts: Any, on_paper: dict[str, str], language: str
) -> None:
    """BU-23: item, device, times with source and error, hashes, keys, custody, log, export, and how to check."""
    text = "".join(one for one in on_paper[language] if unicodedata.category(one) != "Cf")
    manifest, bare = records.peek_manifest(parts.manifest), squeezed(text)
    for value in (
        manifest.item, manifest.device, manifest.sealed_sha256, str(manifest.plain_sha256),
        "2026-11-23T08:00:00.000000Z", "ntp", "vedette.example/log", parts.signer.public.key_id, "amina",
        parts.signer.public.text.rstrip("="), "Court order 7", "bundle.json", "verify.py", "verify.html",
        "segment.checkpoint",
    ):  # fmt: skip
        assert squeezed(value) in bare, value
    assert {"6", "7", "64", "48", "2", "4"} <= set(re.findall(r"\d+", text))
    assert "±" in text


def test_report_words_are_there_in_every_language() -> None:
    """BU-23."""
    languages = [report_words.words(language) for language in report_words.LANGUAGES]
    assert len({one.names for one in languages}) == 1
    for name in languages[0].names:
        texts = [json.dumps(one.list(name)) for one in languages]
        assert all(text.strip('"[] ') for text in texts), name


def test_report_is_not_found_when_the_typefaces_are_not_installed(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """BU-23."""
    monkeypatch.setattr(report_pdf, "FONT_FOLDERS", (Path("/nowhere"),))
    with pytest.raises(NotFound, match="fonts-noto-core"):
        with_companions(dataclasses.replace(parts, companions={}), exported_by="amina")


def test_recording_that_is_no_mp4_is_exported_without_the_copy(tmp_path: Path) -> None:
    """BU-29."""
    made = with_companions(good_bundle.parts(), exported_by="amina")
    assert "onvif" not in made.companions
    assert bundle_verify.verify(bundle.make(tmp_path / "case.zip", made)).ok


def test_sealed_bundle_has_no_copy_and_says_so_in_its_list_of_files(parts: Any, tmp_path: Path) -> None:
    """BU-1, BU-23."""
    made = with_companions(dataclasses.replace(parts, opened=None, companions={}), exported_by="amina")
    assert "onvif" not in made.companions
    assert b".onvif.mp4" not in made.companions["report_html"]
    assert bundle_verify.verify(bundle.make(tmp_path / "case.zip", made)).ok


@pytest.mark.parametrize("damage", ["media", "device", "time", "no original"])
def test_copy_is_refused_when_it_is_not_of_this_recording(parts: Any, tmp_path: Path, damage: str) -> None:
    """BU-28: listed and signed by the centre, yet another film or another word than the bundle's."""
    assert isinstance(parts.opened, bytes)
    copied = b"".join(parts.companions["onvif"]())
    export = onvif_boxes.read(io.BytesIO(copied))
    if damage == "media":
        copied = copied[:-30] + bytes([copied[-30] ^ 1]) + copied[-29:]
    elif damage == "device":
        copied = b"".join(onvif_boxes.copy(io.BytesIO(parts.opened), dataclasses.replace(export, source="car-2")))
    elif damage == "time":
        copied = b"".join(onvif_boxes.copy(io.BytesIO(parts.opened), dataclasses.replace(export, exported_s=1)))
    opened = None if damage == "no original" else parts.opened
    made = dataclasses.replace(parts, opened=opened, companions={**parts.companions, "onvif": copied})
    found = bundle_verify.verify(bundle.make(tmp_path / "case.zip", made))
    assert found.exit_code == Integrity.exit_code
    assert [one.what for one in found.findings if not one.ok] == ["ONVIF copy"]


@pytest.mark.parametrize(
    "name", ["report.pdf", "report.html", "verify.py", "verify.html", f"{good_bundle.ITEM}.onvif.mp4"]
)
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_file_for_people_is_named_when_it_was_changed_or_taken_out(
    whole: Path, tmp_path: Path, name: str, damage: str
) -> None:
    """BU-1, BU-3, BU-22."""
    with zipfile.ZipFile(whole) as archive:
        archive.extractall(tmp_path / "case")
    path = tmp_path / "case" / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    found = bundle_verify.verify(tmp_path / "case")
    assert found.exit_code == Integrity.exit_code
    assert any(not one.ok and name in f"{one.where} {one.message}" for one in found.findings)


def test_readme_says_how_to_check_and_whom_not_to_believe(whole: Path) -> None:
    """BU-26."""
    with zipfile.ZipFile(whole) as archive:
        text = archive.read("README.txt").decode()
    assert "open verify.html in a web browser" in text
    assert "python3 verify.py" in text
    assert "could have changed a verifier in it" in text
