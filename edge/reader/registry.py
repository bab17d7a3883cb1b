"""Which model files this version uses, and that they are the files that somebody trusted here has signed.

Implements docs/spec/model-registry.md: `registry.toml` names the files and their SHA-256, `registry.sig` beside it is a
signed record over it. A file is used only after signature, size and hash were checked; the runtime sees nothing before.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from vedette import files
from vedette.errors import Integrity, NotFound, NotTrusted, Usage
from vedette.fields import Fields
from vedette.keys import PublicKey, SigningKey
from vedette.records import keyring, open_record, sign_record

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REGISTRY = "registry.toml"
SIGNATURE = "registry.sig"
KIND = "vedette/models/1"
# Signs the models of a release; ADR 12 says who holds the private half. KEY_VARIABLE names another key in its place.
RELEASE_KEY = "ed25519:/mEHkeBIQoGu1XG+QoRucwJUVN4NArcJ8Q5NDhLeLwI="
KEY_VARIABLE = "VEDETTE_MODEL_KEY"
MAX_REGISTRY_BYTES = 64 * 1024
MAX_SIGNATURE_BYTES = 4096
MAX_MODEL_BYTES = 2 * 1024 * 1024
MAX_SIDE_PX = 4096

ModelName = Literal["detector", "reader"]
NAMES: tuple[ModelName, ...] = ("detector", "reader")
CALIBRATION = "calibration.toml"
TEXTS = ("file", "sha256", "version", "quantisation", "card")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What the registry says of one model; `input_px` is height and width of the picture it takes."""

    file: str
    sha256: str
    version: str
    input_px: tuple[int, int]
    quantisation: str
    card: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What somebody measured with these models: on which machine, with which runtime, when, and the figures."""

    machine: str
    runtime: str
    date: str
    figures: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFile:
    """One model file whose size and hash were checked."""

    name: str
    path: Path
    sha256: str
    version: str
    size_bytes: int
    input_px: tuple[int, int]
    card: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Registry:
    """A registry whose signature was checked; `signed_by` is the key's id."""

    folder: Path
    signed_by: str
    entries: Mapping[str, Entry]
    calibration_sha256: str | None
    measured: tuple[Measured, ...]

    def model(self, name: str) -> ModelFile:
        """One model's file; NotFound where entry or file is missing, Integrity where it is not the one named."""
        entry = self.entries.get(name)
        if entry is None:
            raise NotFound(f"model {name}: not in {self.folder / REGISTRY}")
        return _checked(self.folder, name, entry)

    def check_calibration(self) -> None:
        """Raises Integrity where the calibration beside the models is not the one named here, or is missing."""
        path = self.folder / CALIBRATION
        if not path.is_file():
            if self.calibration_sha256 is None:
                return
            raise Integrity(f"{path} is missing, which the registry names; install the package again")
        found = hashlib.sha256(files.read(path, max_bytes=MAX_REGISTRY_BYTES)).hexdigest()
        if found != self.calibration_sha256:
            raise Integrity(
                f"{path} has hash {found[:12]}…, which the registry does not name; install the package again"
            )


def find_model(name: ModelName, *, folder: Path | None = None) -> ModelFile:
    """The file of one model, from the package or from `folder`, which then holds its own signed registry.

    Errors as in `open_registry` and `Registry.model`.
    """
    return open_registry(folder).model(name)


def open_registry(folder: Path | None = None) -> Registry:
    """The signed registry of `folder`, or of the package.

    Raises NotFound where it is missing, NotTrusted where it is not signed by the key that counts here, Integrity where
    it or its signature is damaged or it was changed after it was signed.
    """
    home = folder if folder is not None else package_folder()
    content = _content(home)
    signed_by = _check_signature(home, content, trusted_key())
    return _parsed(home, content, signed_by)


def sign_registry(folder: Path, key: SigningKey) -> Registry:
    """Writes the signature of `folder`'s registry, once every file in it was found to be the one named."""
    content = _content(folder)
    registry = _parsed(folder, content, key.public.key_id)
    for name, entry in registry.entries.items():
        _checked(folder, name, entry)
    body = {"registry_sha256": hashlib.sha256(content).hexdigest(), "registry_size": len(content)}
    files.replace(folder / SIGNATURE, sign_record(KIND, body, key), mode=0o644)
    return registry


def record_calibration(folder: Path) -> None:
    """Writes the hash of the calibration beside `folder`'s models into the registry, which has to be signed again."""
    digest = hashlib.sha256(files.read(folder / CALIBRATION, max_bytes=MAX_REGISTRY_BYTES)).hexdigest()
    kept = [block for block in _blocks(folder) if not block.startswith("[calibration]")]
    _write(folder, [*kept, f'[calibration]\nsha256 = "{digest}"\n'])


def record_measured(folder: Path, one: Measured) -> None:
    """Writes a measurement into `folder`'s registry, in place of an earlier one of that machine and runtime.

    The registry has to be signed again afterwards.
    """
    mine = [json.dumps(value, ensure_ascii=False) for value in (one.machine, one.runtime)]
    kept = [
        b for b in _blocks(folder) if not (b.startswith("[[measured]]") and all(f"= {value}\n" in b for value in mine))
    ]
    values = dataclasses.asdict(one).items()
    lines = "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values)
    _write(folder, [*kept, f"[[measured]]\n{lines}"])


def _blocks(folder: Path) -> list[str]:
    """The registry's text cut before each table."""
    return re.split(r"(?m)^(?=\[)", _content(folder).decode("utf-8"))


def _write(folder: Path, blocks: list[str]) -> None:
    whole = "\n\n".join(block.strip("\n") for block in blocks if block.strip()) + "\n"
    files.replace(folder / REGISTRY, whole.encode("utf-8"), mode=0o644)


def trusted_key() -> PublicKey:
    """The one key whose signature counts on this machine: the release's, or the one that KEY_VARIABLE names."""
    named = os.environ.get(KEY_VARIABLE)
    try:
        return PublicKey.from_text(RELEASE_KEY if named is None else named.strip())
    except Integrity as error:
        raise Usage(f"{KEY_VARIABLE}: {error}") from None


def package_folder() -> Path:
    """Where the models of this version lie."""
    return Path(str(resources.files("models")))


def _content(folder: Path) -> bytes:
    path = folder / REGISTRY
    if not path.is_file():
        raise NotFound(f"model registry {path} is missing; install the package again")
    if path.stat().st_size > MAX_REGISTRY_BYTES:
        raise Integrity(f"model registry {path} is larger than {MAX_REGISTRY_BYTES} bytes")
    return files.read(path, max_bytes=MAX_REGISTRY_BYTES)


def _check_signature(folder: Path, content: bytes, key: PublicKey) -> str:
    path = folder / SIGNATURE
    if not path.is_file():
        raise NotTrusted(
            f"model registry {folder / REGISTRY} is not signed: {SIGNATURE} is missing; "
            f"sign it with `vedette model sign --key FILE --models {folder}`"
        )
    if path.stat().st_size > MAX_SIGNATURE_BYTES:
        raise Integrity(f"{path} is larger than {MAX_SIGNATURE_BYTES} bytes")
    try:
        fields = Fields(open_record(KIND, files.read(path, max_bytes=MAX_SIGNATURE_BYTES), keyring(key)), "models")
        signed = fields.sha256("registry_sha256"), fields.integer("registry_size")
        fields.close()
    except NotTrusted as error:
        raise NotTrusted(f"{path}: {error}; the key that counts is {key.key_id}, see {KEY_VARIABLE}") from None
    except Integrity as error:
        raise Integrity(f"{path}: {error}") from None
    if signed != (hashlib.sha256(content).hexdigest(), len(content)):
        raise Integrity(
            f"model registry {folder / REGISTRY} was changed after it was signed; install the package again"
        )
    return key.key_id


def _parsed(folder: Path, content: bytes, signed_by: str) -> Registry:
    where = f"model registry {folder / REGISTRY}"
    try:
        document: dict[str, Any] = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # TOML's and UTF-8's own errors, too many digits, too deep
        raise Integrity(f"{where}: {error}") from error
    calibration, measured = document.pop("calibration", {}), document.pop("measured", [])
    unknown = [name for name in document if name not in NAMES]
    if unknown:
        raise Integrity(f"{where}: {unknown[0]!r} is none of {', '.join(NAMES)}")
    sha256 = calibration.get("sha256") if isinstance(calibration, dict) else None
    if calibration != {} and (set(calibration) != {"sha256"} or not _SHA256.fullmatch(str(sha256))):
        raise Integrity(f"{where}: calibration holds sha256, 64 hexadecimal digits, and nothing else")
    if not isinstance(measured, list):
        raise Integrity(f"{where}: measured is not a list of tables")
    return Registry(
        folder=folder,
        signed_by=signed_by,
        entries={name: _entry(f"{where}: {name}", table) for name, table in document.items()},
        calibration_sha256=sha256,
        measured=tuple(_measured(f"{where}: measured", table) for table in measured),
    )


def _measured(where: str, table: object) -> Measured:
    names = {field.name for field in dataclasses.fields(Measured)}
    if not isinstance(table, dict) or set(table) != names or not all(isinstance(v, str) for v in table.values()):
        raise Integrity(f"{where}: each holds the texts {', '.join(sorted(names))}")
    return Measured(**table)


def _entry(where: str, table: object) -> Entry:
    if not isinstance(table, dict):
        raise Integrity(f"{where} is not a table")
    unknown = sorted(set(table) - {*TEXTS, "input"})
    if unknown:
        raise Integrity(f"{where}.{unknown[0]} is unknown")
    texts = {key: table.get(key) for key in TEXTS}
    bad = [key for key, value in texts.items() if not isinstance(value, str) or not value]
    if bad or Path(str(texts["file"])).name != texts["file"]:
        raise Integrity(f"{where}.{(bad or ['file'])[0]} is missing or no plain name")
    if not _SHA256.fullmatch(str(texts["sha256"])):
        raise Integrity(f"{where}.sha256 is not 64 hexadecimal digits")
    height, width = _input(where, table.get("input"))
    return Entry(input_px=(height, width), **{key: str(value) for key, value in texts.items()})


def _input(where: str, sides: object) -> tuple[int, int]:
    if (
        isinstance(sides, list)
        and len(sides) == 2
        and all(type(one) is int and 0 < one <= MAX_SIDE_PX for one in sides)
    ):
        return sides[0], sides[1]
    raise Integrity(f"{where}.input is not [height, width] in pixels")


def _checked(folder: Path, name: str, entry: Entry) -> ModelFile:
    path = folder / entry.file
    if not path.is_file():
        raise NotFound(f"model {name}: {path} is missing; install the package again")
    size = path.stat().st_size
    if size > MAX_MODEL_BYTES:
        raise Integrity(f"model {name}: {path.name} has {size} bytes; a model of ours has {MAX_MODEL_BYTES} at most")
    found = hashlib.sha256(files.read(path, max_bytes=MAX_MODEL_BYTES)).hexdigest()
    if found != entry.sha256:
        raise Integrity(
            f"model {name}: {path.name} has hash {found[:12]}…, the registry names {entry.sha256[:12]}…; "
            "install the package again"
        )
    return ModelFile(
        name=name,
        path=path,
        sha256=found,
        version=entry.version,
        size_bytes=size,
        input_px=entry.input_px,
        card=entry.card,
    )
