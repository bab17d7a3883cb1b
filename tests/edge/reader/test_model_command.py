"""`vedette model`: list, verify, arithmetic, sign; the bench is in test_model_bench.py."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from edge.reader import model_verify
from edge.reader.calibration import IDENTITY
from edge.reader.infer import Model, ModelUnusable, Placement, placement_of
from edge.reader.look import Looker
from edge.reader.registry import CALIBRATION, NAMES, RELEASE_KEY, find_model, package_folder, sign_registry
from edge.reader.service import open_reader
from vedette import cli
from vedette.config import ReaderSection
from vedette.errors import Integrity, NotTrusted, Refused
from vedette.keys import SigningKey

Tiny = Callable[..., bytes]
CONV = ("CONV_2D", (1, 8, 8, 4), (4, 3, 3, 1))
CONV_ON_FOUR = ("CONV_2D", (1, 16, 16, 4), (4, 3, 3, 4))
LARGER = ("RESIZE_NEAREST_NEIGHBOR", (1, 16, 16, 4))
TAKES = (1, 8, 8, 1)


@dataclass(frozen=True)
class Pair:
    """A folder of two signed models."""

    folder: Path
    key: SigningKey

    def put(self, content: bytes, *, input_px: tuple[int, int] = (8, 8)) -> None:
        """Both models become the file `content`; signed."""
        digest = hashlib.sha256(content).hexdigest()
        tables = []
        for name in NAMES:
            (self.folder / f"{name}.tflite").write_bytes(content)
            tables.append(
                f'[{name}]\nfile = "{name}.tflite"\nsha256 = "{digest}"\nversion = "9"\n'
                f'input = {list(input_px)}\nquantisation = "int8"\ncard = "none"\n'
            )
        (self.folder / "registry.toml").write_text("\n".join(tables))
        sign_registry(self.folder, self.key)


@pytest.fixture
def pair(tmp_path: Path, models_key: SigningKey) -> Pair:
    folder = tmp_path / "pair"
    folder.mkdir()
    return Pair(folder, models_key)


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A copy of the package's folder that may be damaged."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    for name in ("registry.toml", "registry.sig", CALIBRATION, *(find_model(one).path.name for one in NAMES)):
        shutil.copy(package_folder() / name, folder / name)
    return folder


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        (line,) = [line for line in self.err.splitlines() if line.startswith("vedette: ")]
        return line


Ask = Callable[..., Answer]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    def call(*words: object) -> Answer:
        capsys.readouterr()
        code = cli.main(["model", *map(str, words)])
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return call


def test_list_names_both_models_with_all_that_is_known_of_them(ask: Ask) -> None:
    answer = ask("list", "--json")
    assert (answer.code, answer.document["folder"]) == (0, str(package_folder()))
    assert [one["name"] for one in answer.document["models"]] == list(NAMES)
    for one in answer.document["models"]:
        file = find_model(one["name"])
        assert (one["version"], one["file"], one["sha256"]) == (file.version, file.path.name, file.sha256)
        assert (one["size_bytes"], tuple(one["input_px"])) == (file.path.stat().st_size, file.input_px)
        assert (one["card"], one["parameters"] > 100_000) == (file.card, True)
    lines = ask("list").out.splitlines()
    assert lines[0].split() == ["name", "version", "file", "bytes", "input", "parameters", "card", "sha256"]
    assert all(find_model(name).sha256 in line for name, line in zip(NAMES, lines[1:], strict=False))


def test_list_is_refused_when_a_model_was_changed(ask: Ask, shipped: Path) -> None:
    (shipped / "reader.tflite").write_bytes(b"another")
    answer = ask("list", "--models", shipped)
    assert (answer.code, answer.out) == (10, "")


@pytest.mark.parametrize("name", NAMES)
def test_verify_fails_integrity_and_names_the_file_when_one_byte_of_it_was_changed(
    ask: Ask, shipped: Path, name: str
) -> None:
    """MR-2."""
    path = shipped / f"{name}.tflite"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    answer = ask("verify", "--models", shipped)
    assert (answer.code, answer.out) == (10, "")
    assert f"model {name}: {name}.tflite has hash {hashlib.sha256(content).hexdigest()[:12]}…" in answer.complaint


def test_verify_is_refused_when_the_registry_was_changed(ask: Ask, shipped: Path) -> None:
    """MR-5."""
    path = shipped / "registry.toml"
    path.write_text(path.read_text().replace("version = ", "version =  ", 1))
    answer = ask("verify", "--models", shipped)
    assert (answer.code, "registry.toml was changed after it was signed" in answer.complaint) == (10, True)


def test_verify_checks_the_calibration_too(ask: Ask, shipped: Path) -> None:
    """MR-11."""
    answer = ask("verify", "--models", shipped)
    assert (answer.code, "calibration.toml, what the confidence is worth, is the file" in answer.out) == (0, True)
    path = shipped / CALIBRATION
    path.write_text(path.read_text().replace("[0, ", "[1, ", 1))
    answer = ask("verify", "--models", shipped)
    assert (answer.code, "calibration.toml has hash" in answer.complaint, answer.out) == (10, True, "")
    path.unlink()
    answer = ask("verify", "--models", shipped)
    assert (answer.code, "calibration.toml is missing" in answer.complaint, answer.out) == (10, True, "")


def test_models_without_their_calibration_are_not_loaded_but_to_measure_it(shipped: Path) -> None:
    """MR-10."""
    calibrated = Looker.load(threads=1, folder=shipped)
    (shipped / CALIBRATION).unlink()
    with pytest.raises(Integrity, match="is missing"):
        Looker.load(threads=1, folder=shipped)
    measured = Looker.load_uncalibrated(threads=1, folder=shipped)
    assert measured.model_hashes == calibrated.model_hashes
    assert (measured.reader._calibration == IDENTITY, calibrated.reader._calibration == IDENTITY) == (True, False)


def test_verify_does_not_trust_another_key_or_none(ask: Ask, shipped: Path) -> None:
    """MR-5."""
    sign_registry(shipped, SigningKey.generate())
    assert ask("verify", "--models", shipped).code == 11
    (shipped / "registry.sig").unlink()
    answer = ask("verify", "--models", shipped)
    assert (answer.code, "is not signed" in answer.complaint) == (11, True)


@pytest.mark.parametrize("name", ["reader.tflite", "registry.toml"])
def test_verify_does_not_find_a_file_that_is_missing(ask: Ask, shipped: Path, name: str) -> None:
    (shipped / name).unlink()
    answer = ask("verify", "--models", shipped)
    assert (answer.code, f"{name} is missing" in answer.complaint) == (3, True)


def test_verify_names_what_is_missing_when_only_one_model_is_registered(ask: Ask, pair: Pair, tiny: Tiny) -> None:
    pair.put(tiny(CONV, takes=TAKES))
    path = pair.folder / "registry.toml"
    path.write_text(path.read_text().partition("[reader]")[0])
    sign_registry(pair.folder, pair.key)
    answer = ask("verify", "--models", pair.folder)
    assert (answer.code, "model reader: not in" in answer.complaint) == (3, True)


def test_verify_is_content_with_integers_that_xnnpack_has_whole(ask: Ask, pair: Pair, tiny: Tiny) -> None:
    """MR-7, MR-8."""
    pair.put(tiny(CONV, takes=TAKES))
    answer = ask("verify", "--models", pair.folder, "--json")
    assert (answer.code, answer.document["signed_by"]) == (0, pair.key.public.key_id)
    assert [one["version"] for one in answer.document["models"]] == ["9", "9"]
    text = ask("verify", "--models", pair.folder).out
    assert f"signed by {pair.key.public.key_id}; tried with {answer.document['runtime']}" in text


def test_verify_refuses_a_model_in_floating_point(ask: Ask, pair: Pair, tiny: Tiny) -> None:
    """MR-7."""
    pair.put(tiny(CONV, takes=TAKES, type="float32"))
    answer = ask("verify", "--models", pair.folder)
    assert answer.code == 10
    assert "detector.tflite computes in floating point (1 CONV_2D); quantise it throughout" in answer.complaint


def test_verify_refuses_a_model_that_takes_another_picture(ask: Ask, pair: Pair, tiny: Tiny) -> None:
    """MR-7."""
    pair.put(tiny(CONV, takes=TAKES), input_px=(8, 9))
    answer = ask("verify", "--models", pair.folder)
    assert answer.code == 10
    assert "takes int8 1x8x8x1, the registry says int8 1x8x9x1" in answer.complaint


def test_verify_refuses_a_model_that_leaves_xnnpack(ask: Ask, pair: Pair, tiny: Tiny) -> None:
    """MR-8."""
    pair.put(tiny(CONV, LARGER, CONV_ON_FOUR, takes=TAKES))
    answer = ask("verify", "--models", pair.folder)
    assert answer.code == 10
    assert "leaves XNNPACK for 1 RESIZE_NEAREST_NEIGHBOR and runs in 2 pieces" in answer.complaint


def test_verify_refuses_a_signed_file_that_is_no_model(ask: Ask, pair: Pair) -> None:
    pair.put(b"not a model at all")
    answer = ask("verify", "--models", pair.folder)
    assert (answer.code, "detector.tflite is not a TFLite file" in answer.complaint) == (10, True)


def test_verify_refuses_a_file_beyond_two_mebibytes(ask: Ask, pair: Pair, tiny: Tiny) -> None:
    """MR-2."""
    pair.put(tiny(CONV, takes=TAKES))
    with (pair.folder / "detector.tflite").open("ab") as file:
        file.write(bytes(2 * 1024 * 1024))
    answer = ask("verify", "--models", pair.folder)
    assert (answer.code, "a model of ours has 2097152 at most" in answer.complaint) == (10, True)


def test_runtime_without_xnnpack_is_told_from_a_bad_model() -> None:
    with pytest.raises(Refused, match="has no XNNPACK"):
        model_verify.check_placement(find_model("reader"), Placement(pieces=0, outside=("CONV_2D",)))


def test_placement_counts_what_no_piece_holds() -> None:
    def one(index: int, name: str, reads: list[int], writes: list[int]) -> dict[str, Any]:
        return {"index": index, "op_name": name, "inputs": reads, "outputs": writes}

    own = [
        one(0, "PAD", [0], [1]),
        one(1, "CONV_2D", [1, 9], [2]),
        one(2, "TANH", [2], [3]),
        one(3, "ADD", [3, 2], [4]),
    ]
    pieces = [one(4, "DELEGATE", [0, 9], [2]), one(5, "DELEGATE", [2, 3], [4])]
    assert placement_of(own + pieces) == Placement(pieces=2, outside=("TANH",))
    assert placement_of(own) == Placement(pieces=0, outside=("PAD", "CONV_2D", "TANH", "ADD"))


def test_shipped_reader_runs_in_one_piece() -> None:
    """MR-8."""
    model = Model.load(find_model("reader").path, threads=1)
    assert model.placement() == Placement(pieces=1, outside=())


def test_shipped_models_are_sound(ask: Ask) -> None:
    """MR-7, MR-8."""
    answer = ask("verify")
    assert answer.code == 0, answer.err


def test_reader_service_looks_in_the_folder_of_its_configuration_and_does_not_trust_it_unsigned(
    device: Any, shipped: Path
) -> None:
    """MR-4."""
    (shipped / "registry.sig").unlink()
    config = replace(device.config, reader=ReaderSection(models=str(shipped)))
    with pytest.raises(NotTrusted, match=f"{shipped}/registry.toml is not signed"):
        open_reader(config, device.clock)


def test_float_model_does_not_load(tiny: Tiny, tmp_path: Path) -> None:
    path = tmp_path / "float.tflite"
    path.write_bytes(tiny(CONV, takes=TAKES, type="float32"))
    with pytest.raises(ModelUnusable, match=r"float\.tflite does not run here"):
        Model.load(path, threads=1)


def test_arithmetic_counts_and_marks_its_estimates(ask: Ask, pair: Pair, tiny: Tiny) -> None:
    pair.put(tiny(CONV, LARGER, takes=TAKES))
    found = ask("arithmetic", "--models", pair.folder, "--json").document
    assert list(found) == ["detector", "reader"]
    assert found["reader"]["macs"] == 8 * 8 * 4 * 9
    assert found["reader"]["operations"] == {"CONV_2D": 1, "RESIZE_NEAREST_NEIGHBOR": 1}
    assert found["reader"]["not_xnnpack"] == {"RESIZE_NEAREST_NEIGHBOR": 1}
    assert len(found["reader"]["estimate_ms_one_core"]["Raspberry Pi 4"]) == 2
    assert found["reader"]["estimate_note"].startswith("ESTIMATE")
    lines = ask("arithmetic", "--models", pair.folder).out.splitlines()
    assert sum(line.strip().startswith("ESTIMATE") for line in lines) == 3
    assert not [line for line in lines if " ms" in line and "ESTIMATE" not in line]


def test_signing_makes_a_folder_usable_and_tells_which_key_to_name(
    ask: Ask, pair: Pair, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.put(tiny(CONV, takes=TAKES))
    (pair.folder / "registry.sig").unlink()
    own = SigningKey.generate()
    own.save(tmp_path / "own.pem")
    answer = ask("sign", "--key", tmp_path / "own.pem", "--models", pair.folder)
    assert (answer.code, f"VEDETTE_MODEL_KEY={own.public.text}" in answer.out) == (0, True)
    assert ask("verify", "--models", pair.folder).code == 11
    monkeypatch.setenv("VEDETTE_MODEL_KEY", own.public.text)
    assert ask("verify", "--models", pair.folder).code == 0
    again = ask("sign", "--key", tmp_path / "own.pem", "--models", pair.folder)
    assert again.out == f"{pair.folder / 'registry.sig'}: signed by {own.public.key_id}\n"


def test_signing_is_refused_when_the_model_is_not_the_one_registered(
    ask: Ask, pair: Pair, tiny: Tiny, tmp_path: Path
) -> None:
    """MR-6."""
    pair.put(tiny(CONV, takes=TAKES))
    pair.key.save(tmp_path / "own.pem")
    (pair.folder / "registry.sig").unlink()
    (pair.folder / "reader.tflite").write_bytes(b"another")
    assert ask("sign", "--key", tmp_path / "own.pem", "--models", pair.folder).code == 10
    assert not (pair.folder / "registry.sig").exists()


def test_program_knows_the_public_half_of_the_release_key_and_holds_no_private_one() -> None:
    """A private key in the repository would make every copy of it a signer."""
    root = Path(__file__).parents[3]
    assert RELEASE_KEY.startswith("ed25519:")
    assert [path for path in (root / "models").rglob("*") if path.suffix in {".pem", ".key"}] == []
