"""`verify.py` as it travels in a bundle: the standard library alone, the verdicts of `vedette evidence verify`."""

import ast
import importlib.util
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import good_bundle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette import bundle, bundle_verify, verifier
from vedette.errors import Integrity, NotTrusted
from vedette.keys import PublicKey, SigningKey
from vedette.log_policy import load_policy
from vedette.trust import load_trust

VECTORS = Path(__file__).parents[1] / "vectors" / "bundle"
CASES = json.loads((VECTORS / "cases.json").read_text())
TRUST = load_trust(VECTORS / "trust.json")
WHOLE = VECTORS / "zip" / "whole.zip"
FLIPS = 400


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("verifier") / "verify.py"
    path.write_bytes(verifier.script())
    return path


@pytest.fixture(scope="module")
def loaded(script: Path) -> Any:
    """The script as a module, for many bundles in one process."""
    spec = importlib.util.spec_from_file_location("travelling_verify", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(script: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The script without site packages, without the environment and without the current folder."""
    command = [sys.executable, "-I", "-S", str(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


def failed(findings: list[Any]) -> str:
    return "\n".join(f"{what} | {where} | {said}" for what, where, code, said in findings if code)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_script_judges_a_bundle_as_its_vector_says(script: Path, case: dict[str, Any]) -> None:
    """BU-24, BU-25: with Python's standard library alone."""
    ended = run(script, VECTORS / "zip" / f"{case['name']}.zip", "--trust", VECTORS / "trust.json", "--json")
    assert ended.stderr == ""
    assert ended.returncode == case["exit_code"]
    report = json.loads(ended.stdout)
    assert report["exit_code"] == case["exit_code"]
    assert case["names"] in failed(report["findings"])


@pytest.mark.parametrize("case", [one for one in CASES if "policy" in one], ids=lambda case: case["name"])
def test_script_asks_for_the_witnesses_of_a_policy(script: Path, case: dict[str, Any]) -> None:
    """BU-25, BU-30, TL-23, TL-25."""
    more = ("--trust", VECTORS / "trust.json", "--policy", VECTORS / "policy.txt", "--json")
    ended = run(script, VECTORS / "zip" / f"{case['name']}.zip", *more)
    report = json.loads(ended.stdout)
    assert (ended.returncode, ended.stderr) == (case["policy"]["exit_code"], "")
    assert case["policy"]["names"] in failed(report["findings"])
    assert any(what == "witnesses" for what, *_rest in report["findings"])


@pytest.mark.parametrize(
    "line",
    [
        "quorum w9",
        "group g 2 w1",
        "group g 1 w1 w1",
        "group g 0 w1",
        "witness none k",
        "log x",
        "quorum none x",
        "\x01",
    ],
)
def test_script_refuses_a_policy_that_is_none(script: Path, tmp_path: Path, line: str) -> None:
    """TL-23: as vedette does, naming the line."""
    text = (VECTORS / "policy.txt").read_text().splitlines()
    (tmp_path / "policy").write_text("\n".join([*text[:4], line, "quorum none", ""]))
    ended = run(script, WHOLE, "--policy", tmp_path / "policy")
    assert ended.returncode == 1
    assert "policy, line 5" in ended.stderr
    with pytest.raises(Integrity, match="line 5"):
        load_policy(tmp_path / "policy")


def test_script_takes_one_redactor_alone_when_one_is_named(script: Path) -> None:
    """BU-31, RD-38, RD-39, RD-40, RD-41: and with it, all of a redacted copy holds."""
    path = VECTORS / "zip" / "redacted.zip"
    findings = {what: said for what, _where, _code, said in json.loads(run(script, path, "--json").stdout)["findings"]}
    signer = findings["redaction"].split(" ")[2]
    assert "nobody vouches" in findings["redaction"]
    pinned = run(script, path, "--redactor", signer)
    assert pinned.returncode == 0
    assert "nobody vouches" not in pinned.stdout
    other = run(script, path, "--redactor", TRUST.centre.text)
    assert other.returncode == 11
    assert "by another key" in other.stdout
    for key, code in ((signer, 0), (TRUST.centre.text, 11)):
        asked = bundle_verify.Asked(redactor=PublicKey.from_text(key))
        assert bundle_verify.verify(path, TRUST, (), asked).exit_code == code


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_script_agrees_with_vedette_when_nobody_pins_a_key(loaded: Any, case: dict[str, Any]) -> None:
    """BU-25: the same files fail."""
    path = VECTORS / "zip" / f"{case['name']}.zip"
    code, findings = loaded.verify(path)
    ours = bundle_verify.verify(path)
    assert code == ours.exit_code
    assert {where for _what, where, bad, _said in findings if bad} == {one.where for one in ours.findings if not one.ok}


def test_script_finds_a_flipped_byte_anywhere(loaded: Any, tmp_path: Path) -> None:
    """BU-25: in a file's content by the file, between files by its offset."""
    whole = WHOLE.read_bytes()
    with zipfile.ZipFile(WHOLE) as archive:
        starts = {one.filename: one.header_offset + 30 + len(one.filename) for one in archive.infolist()}
        ranges = {name: range(start, start + archive.getinfo(name).file_size) for name, start in starts.items()}
    missed = []
    path = tmp_path / "b.zip"
    for place in range(0, len(whole), len(whole) // FLIPS):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        code, findings = loaded.verify(path, TRUST.centre.raw, TRUST.log_origin)
        owner = next((name for name, where in ranges.items() if place in where), None)
        named = any(where == owner or f"byte {place} " in said for _what, where, bad, said in findings if bad)
        missed += [] if code == 10 and named else [place]
    assert missed == []


@pytest.mark.parametrize("damage", ["none", "changed", "missing", "added", "link", "swapped"])
def test_script_checks_the_folder_it_lies_in(tmp_path: Path, damage: str) -> None:
    """BU-24: unpacked, with nothing said on the command line; damage is found as in a zip."""
    parts = good_bundle.parts(companions={"verifier_py": verifier.script()})
    folder = bundle.make(tmp_path / "case", parts)
    readme, receipt = folder / "README.txt", next(folder.glob("*.receipt"))
    match damage:
        case "changed":
            readme.write_bytes(b"All is well.\n")
        case "missing":
            receipt.unlink()
        case "added":
            (folder / "notes.txt").write_text("hello")
        case "link":
            readme.rename(tmp_path / "README.txt")
            readme.symlink_to(tmp_path / "README.txt")
        case "swapped":
            receipt.write_bytes(next(folder.glob("*.manifest")).read_bytes())
    ended = run(folder / "verify.py")
    assert ended.returncode == (0 if damage == "none" else 10), ended.stdout
    assert ("every check holds" in ended.stdout) == (damage == "none")
    assert not (folder / "__pycache__").exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 200, b"PK\3\4" + bytes(200)])
def test_script_says_no_bundle_when_the_file_is_something_else(script: Path, tmp_path: Path, content: bytes) -> None:
    """BU-25."""
    (tmp_path / "b.zip").write_bytes(content)
    ended = run(script, tmp_path / "b.zip")
    assert (ended.returncode, ended.stderr) == (10, "")


def test_script_trusts_a_pasted_key(script: Path) -> None:
    """BU-20, BU-24."""
    assert run(script, WHOLE, "--key", TRUST.centre.text).returncode == 0
    other = run(script, WHOLE, "--key", SigningKey.generate().public.text)
    assert other.returncode == 11
    assert "of another centre" in other.stdout
    assert "not a public key" in run(script, WHOLE, "--key", "rsa:1").stderr


def test_script_says_that_the_keys_are_the_bundles_own(script: Path) -> None:
    """BU-20, BU-24."""
    assert TRUST.centre.key_id in run(script, WHOLE).stdout
    assert "taken from the bundle" in run(script, WHOLE).stdout


def test_script_imports_the_standard_library_alone() -> None:
    """BU-24."""
    imported = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(verifier.script()))
        for name in ([one.name for one in node.names] if isinstance(node, ast.Import) else [])
        + ([node.module or ""] if isinstance(node, ast.ImportFrom) else [])
    }
    assert imported <= sys.stdlib_module_names
    assert imported & {"socket", "urllib", "http", "ssl", "subprocess", "ctypes"} == set()


def test_page_can_reach_no_network() -> None:
    """BU-24: its policy forbids it, and it names no address to load from."""
    text = verifier.page().decode()
    assert "default-src 'none'" in text
    assert "connect-src" not in text
    assert re.findall(r"(?:src|href)=[\"']?(?:https?:)?//|import\(|fetch\(|XMLHttpRequest|WebSocket", text) == []


@given(st.binary(max_size=200), st.integers(0, 63), st.integers(0, 7))
def test_signature_is_judged_as_by_the_library(loaded: Any, message: bytes, place: int, bit: int) -> None:
    """BU-24: Ed25519 in plain Python, good signatures and flipped ones."""
    key = SigningKey.generate()
    signature = bytearray(key.sign(message))
    loaded.verified(key.public.raw, bytes(signature), message)
    signature[place] ^= 1 << bit
    with pytest.raises(NotTrusted):
        PublicKey(key.public.raw).verify(bytes(signature), message)
    with pytest.raises(loaded.Untrusted):
        loaded.verified(key.public.raw, bytes(signature), message)
