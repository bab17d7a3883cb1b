"""Which model files are used, and who must have signed for them (docs/spec/model-registry.md)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from edge.reader import infer, registry
from edge.reader.infer import Model
from edge.reader.look import Looker
from edge.reader.registry import find_model, open_registry, sign_registry
from vedette import errors
from vedette.errors import Integrity, NotFound, NotTrusted, Usage
from vedette.keys import SigningKey

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "models" / "registries.json").read_text(encoding="utf-8"))


def write(folder: Path, key: SigningKey | None, *, content: bytes = b"model", sha256: str | None = None) -> Path:
    """A folder with a reader's model, its registry and the signature of `key`."""
    digest = hashlib.sha256(content).hexdigest() if sha256 is None else sha256
    fields = {"file": "reader.tflite", "sha256": digest, "version": "7", "quantisation": "int8", "card": "none"}
    lines = [f'{name} = "{value}"\n' for name, value in fields.items()]
    (folder / "registry.toml").write_text(f"[reader]\ninput = [48, 160]\n{''.join(lines)}")
    (folder / "reader.tflite").write_bytes(content)
    if key is not None:
        sign_registry(folder, key)
    return folder


@pytest.mark.parametrize("name", registry.NAMES)
def test_shipped_models_are_the_registered_ones_and_signed_with_the_release_key(name: registry.ModelName) -> None:
    found = find_model(name)
    assert found.name == name
    assert found.sha256 == hashlib.sha256(found.path.read_bytes()).hexdigest()
    assert found.version
    assert (found.path.parent / found.card).is_file()
    assert found.size_bytes == found.path.stat().st_size <= registry.MAX_MODEL_BYTES


def test_folder_of_its_own_replaces_the_package(tmp_path: Path, models_key: SigningKey) -> None:
    found = find_model("reader", folder=write(tmp_path, models_key))
    assert (found.path, found.version, found.input_px) == (tmp_path / "reader.tflite", "7", (48, 160))
    assert found.sha256 == hashlib.sha256(b"model").hexdigest()


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_registry_is_opened_or_refused_as_the_vector_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: dict[str, Any]
) -> None:
    """MR-1, MR-3."""
    monkeypatch.setenv(registry.KEY_VARIABLE, VECTORS["signer"])
    (tmp_path / "registry.toml").write_bytes(case["registry"].encode())
    (tmp_path / "registry.sig").write_bytes(case["signature"].encode())
    try:
        open_registry(tmp_path)
        found = "ok"
    except errors.VedetteError as error:
        found = type(error).__name__
        assert str(tmp_path) in str(error)
    assert found == case["expect"]


@pytest.mark.parametrize("at", [0, 2, 4])
def test_model_with_a_changed_byte_fails_integrity(tmp_path: Path, models_key: SigningKey, at: int) -> None:
    """MR-2."""
    content = bytearray(b"model")
    write(tmp_path, models_key, content=bytes(content))
    content[at] ^= 1
    (tmp_path / "reader.tflite").write_bytes(content)
    with pytest.raises(Integrity, match=r"reader\.tflite has hash [0-9a-f]{12}…") as raised:
        find_model("reader", folder=tmp_path)
    assert raised.value.exit_code == 10


def test_model_larger_than_any_is_refused_unread(
    tmp_path: Path, models_key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MR-2."""
    write(tmp_path, models_key, content=b"12345")
    monkeypatch.setattr(registry, "MAX_MODEL_BYTES", 5)
    assert find_model("reader", folder=tmp_path).size_bytes == 5
    monkeypatch.setattr(registry, "MAX_MODEL_BYTES", 4)
    with pytest.raises(Integrity, match="has 5 bytes; a model of ours has 4 at most"):
        find_model("reader", folder=tmp_path)


def test_missing_file_registry_or_entry_is_not_found(tmp_path: Path, models_key: SigningKey) -> None:
    """MR-2."""
    with pytest.raises(NotFound, match=r"registry\.toml"):
        find_model("reader", folder=tmp_path)
    write(tmp_path, models_key)
    with pytest.raises(NotFound, match="detector"):
        find_model("detector", folder=tmp_path)
    (tmp_path / "reader.tflite").unlink()
    with pytest.raises(NotFound, match="missing") as raised:
        find_model("reader", folder=tmp_path)
    assert raised.value.exit_code == 3


def test_folder_that_is_not_signed_is_not_trusted_and_told_how_to_be(tmp_path: Path, models_key: SigningKey) -> None:
    """MR-5."""
    write(tmp_path, None)
    with pytest.raises(NotTrusted, match="vedette model sign --key FILE --models") as raised:
        find_model("reader", folder=tmp_path)
    assert raised.value.exit_code == 11


def test_models_of_the_release_are_refused_when_another_key_counts(models_key: SigningKey) -> None:
    """MR-5."""
    with pytest.raises(NotTrusted, match=f"the key that counts is {models_key.public.key_id}"):
        find_model("reader")


def test_models_of_a_stranger_are_refused_when_no_key_is_named(tmp_path: Path) -> None:
    """MR-5."""
    write(tmp_path, SigningKey.generate())
    with pytest.raises(NotTrusted, match="which is not trusted here"):
        find_model("reader", folder=tmp_path)


@pytest.mark.parametrize("text", ["", "ed25519:AAAA", "release", "ed25519:" + "A" * 44])
def test_key_that_is_none_is_a_usage_error_and_never_the_release_key(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """MR-5."""
    monkeypatch.setenv(registry.KEY_VARIABLE, text)
    with pytest.raises(Usage, match=registry.KEY_VARIABLE):
        find_model("reader")


def test_registry_that_was_changed_after_it_was_signed_fails_integrity(tmp_path: Path, models_key: SigningKey) -> None:
    """MR-3, MR-5."""
    write(tmp_path, models_key)
    with (tmp_path / "registry.toml").open("a") as file:
        file.write("\n")
    with pytest.raises(Integrity, match="was changed after it was signed") as raised:
        find_model("reader", folder=tmp_path)
    assert raised.value.exit_code == 10


def test_no_byte_of_the_signature_can_be_changed(tmp_path: Path, models_key: SigningKey) -> None:
    """MR-3."""
    path = write(tmp_path, models_key) / "registry.sig"
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises((Integrity, NotTrusted)):
            open_registry(tmp_path)


def test_nothing_is_loaded_when_the_signature_is_wrong(
    tmp_path: Path, models_key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MR-4."""
    touched: list[object] = []
    write(tmp_path, SigningKey.generate())
    monkeypatch.setattr(Model, "load", lambda *args, **named: touched.append(args))
    monkeypatch.setattr(infer, "_interpreter_class", lambda: touched.append("runtime"))
    monkeypatch.setattr(registry, "_checked", lambda *args: touched.append(args))
    with pytest.raises(NotTrusted):
        Looker.load(threads=1, folder=tmp_path)
    assert touched == []


def test_registry_and_signature_beyond_their_maximum_are_refused(tmp_path: Path, models_key: SigningKey) -> None:
    """MR-1, MR-3."""
    for name, most in (("registry.toml", registry.MAX_REGISTRY_BYTES), ("registry.sig", registry.MAX_SIGNATURE_BYTES)):
        write(tmp_path, models_key)
        with (tmp_path / name).open("a") as file:
            file.write("#" * most)
        with pytest.raises(Integrity, match=f"larger than {most}"):
            find_model("reader", folder=tmp_path)


def test_signing_is_refused_when_a_file_is_not_the_one_named(tmp_path: Path, models_key: SigningKey) -> None:
    """MR-6."""
    write(tmp_path, None, sha256="0" * 64)
    with pytest.raises(Integrity, match="the registry names 000000000000…"):
        sign_registry(tmp_path, models_key)
    (tmp_path / "reader.tflite").unlink()
    with pytest.raises(NotFound, match=r"reader\.tflite is missing"):
        sign_registry(tmp_path, models_key)
    assert not (tmp_path / "registry.sig").exists()


def test_signing_again_gives_the_same_bytes_and_replaces_another_signature(
    tmp_path: Path, models_key: SigningKey
) -> None:
    path = write(tmp_path, models_key) / "registry.sig"
    first = path.read_bytes()
    sign_registry(tmp_path, SigningKey.generate())
    assert path.read_bytes() != first
    sign_registry(tmp_path, models_key)
    assert path.read_bytes() == first


def measured(machine: str, figures: str) -> registry.Measured:
    return registry.Measured(machine=machine, runtime="litert 2", date="2026-11-25", figures=figures)


def test_a_measurement_takes_the_place_of_an_earlier_one_of_that_machine(
    tmp_path: Path, models_key: SigningKey
) -> None:
    """MR-1."""
    write(tmp_path, models_key)
    for one in (measured('a "board"', "9 ms"), measured("another", "8 ms"), measured('a "board"', "7 ms")):
        registry.record_measured(tmp_path, one)
    with pytest.raises(Integrity, match="changed after it was signed"):
        open_registry(tmp_path)
    found = sign_registry(tmp_path, models_key)
    assert [(one.machine, one.figures) for one in found.measured] == [("another", "8 ms"), ('a "board"', "7 ms")]
    assert find_model("reader", folder=tmp_path).version == "7"


@pytest.mark.parametrize(
    "extra",
    [
        "measured = 1\n",
        'calibration = "x"\n',
        '[[measured]]\nmachine = "m"\n',
        "[[measured]]\nmachine = 1\n",
        '[calibration]\nsha256 = "x"\n',
    ],
)
def test_a_measurement_of_another_form_is_refused(tmp_path: Path, models_key: SigningKey, extra: str) -> None:
    """MR-1."""
    write(tmp_path, None)
    path = tmp_path / "registry.toml"
    path.write_text(extra + path.read_text() if "[" not in extra else path.read_text() + extra)
    with pytest.raises(Integrity, match=r"measured|calibration"):
        sign_registry(tmp_path, models_key)


def test_a_calibration_counts_only_as_the_registry_names_it(tmp_path: Path, models_key: SigningKey) -> None:
    """MR-9."""
    write(tmp_path, models_key)
    open_registry(tmp_path).check_calibration()
    (tmp_path / registry.CALIBRATION).write_text("reads = 1\n")
    with pytest.raises(Integrity, match="does not name"):
        open_registry(tmp_path).check_calibration()
    registry.record_calibration(tmp_path)
    sign_registry(tmp_path, models_key).check_calibration()
    (tmp_path / registry.CALIBRATION).write_text("reads = 2\n")
    with pytest.raises(Integrity, match="does not name"):
        open_registry(tmp_path).check_calibration()


def test_a_calibration_that_the_registry_names_may_not_be_missing(tmp_path: Path, models_key: SigningKey) -> None:
    """MR-10."""
    write(tmp_path, models_key)
    (tmp_path / registry.CALIBRATION).write_text("reads = 1\n")
    registry.record_calibration(tmp_path)
    sign_registry(tmp_path, models_key)
    (tmp_path / registry.CALIBRATION).unlink()
    with pytest.raises(Integrity, match=r"calibration\.toml is missing, which the registry names"):
        open_registry(tmp_path).check_calibration()
