"""Which model files are used."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edge.reader import registry
from edge.reader.registry import find_model
from vedette.errors import Integrity, NotFound, NotTrusted


def write(folder: Path, *, content: bytes = b"model", file: str = "reader.tflite", sha256: str | None = None) -> None:
    digest = hashlib.sha256(content).hexdigest() if sha256 is None else sha256
    (folder / "registry.toml").write_text(f'[reader]\nfile = "{file}"\nsha256 = "{digest}"\nversion = "7"\n')
    (folder / "reader.tflite").write_bytes(content)


@pytest.mark.parametrize("name", ["detector", "reader"])
def test_the_shipped_models_are_the_registered_ones(name: registry.ModelName) -> None:
    found = find_model(name)
    assert found.name == name
    assert found.sha256 == hashlib.sha256(found.path.read_bytes()).hexdigest()
    assert found.version


def test_a_folder_of_its_own_replaces_the_package(tmp_path: Path) -> None:
    write(tmp_path)
    found = find_model("reader", folder=tmp_path)
    assert (found.path, found.version) == (tmp_path / "reader.tflite", "7")
    assert found.sha256 == hashlib.sha256(b"model").hexdigest()


def test_a_changed_file_is_not_trusted(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "reader.tflite").write_bytes(b"Model")
    with pytest.raises(NotTrusted, match="install the package again"):
        find_model("reader", folder=tmp_path)


def test_a_file_larger_than_any_model_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, content=b"12345")
    monkeypatch.setattr(registry, "MAX_MODEL_BYTES", 5)
    assert find_model("reader", folder=tmp_path).name == "reader"
    monkeypatch.setattr(registry, "MAX_MODEL_BYTES", 4)
    with pytest.raises(NotTrusted, match="larger"):
        find_model("reader", folder=tmp_path)


def test_a_missing_file_registry_or_entry_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"registry\.toml"):
        find_model("reader", folder=tmp_path)
    write(tmp_path)
    with pytest.raises(NotFound, match="detector"):
        find_model("detector", folder=tmp_path)
    (tmp_path / "reader.tflite").unlink()
    with pytest.raises(NotFound, match="missing"):
        find_model("reader", folder=tmp_path)


def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    write(home, file="../reader.tflite")
    (tmp_path / "reader.tflite").write_bytes(b"model")
    with pytest.raises(Integrity, match="no plain name"):
        find_model("reader", folder=home)


@pytest.mark.parametrize("text", ["[reader", '[reader]\nfile = "reader.tflite"\n', "[reader]\nfile = 1\n"])
def test_a_damaged_registry_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "registry.toml").write_text(text)
    with pytest.raises(Integrity):
        find_model("reader", folder=tmp_path)


def test_a_registry_beyond_its_maximum_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with (tmp_path / "registry.toml").open("a") as registry_file:
        registry_file.write("#" * registry.MAX_REGISTRY_BYTES)
    with pytest.raises(Integrity, match="larger"):
        find_model("reader", folder=tmp_path)
