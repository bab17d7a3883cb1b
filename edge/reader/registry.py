"""Which model files this version uses, and that they are the files it was released with.

Reads `registry.toml` of the package `models`; a file is used only after its SHA-256 was compared.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from vedette.errors import Integrity, NotFound, NotTrusted

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REGISTRY = "registry.toml"
MAX_REGISTRY_BYTES = 64 * 1024
MAX_MODEL_BYTES = 16 * 1024 * 1024

ModelName = Literal["detector", "reader"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFile:
    """One model file whose hash was checked."""

    name: str
    path: Path
    sha256: str
    version: str


def find_model(name: ModelName, *, folder: Path | None = None) -> ModelFile:
    """The file of one model, from the package or from `folder`, which then holds its own registry.

    Raises NotFound where the registry, its entry or the file is missing, Integrity for a registry that cannot be
    read, NotTrusted where the file is not the one the registry names.
    """
    home = folder if folder is not None else Path(str(resources.files("models")))
    entry = _entry(home / REGISTRY, name)
    path = home / entry["file"]
    if not path.is_file():
        raise NotFound(f"model {name}: {path} is missing; install the package again")
    if path.stat().st_size > MAX_MODEL_BYTES:
        raise NotTrusted(f"model {name}: {path.name} is larger than any model of ours; install the package again")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != entry["sha256"]:
        raise NotTrusted(
            f"model {name}: {path.name} has hash {found[:12]}…, the registry names {entry['sha256'][:12]}…; "
            "install the package again"
        )
    return ModelFile(name=name, path=path, sha256=found, version=entry["version"])


def _entry(registry: Path, name: str) -> dict[str, str]:
    if not registry.is_file():
        raise NotFound(f"model registry {registry} is missing; install the package again")
    if registry.stat().st_size > MAX_REGISTRY_BYTES:
        raise Integrity(f"model registry {registry} is larger than {MAX_REGISTRY_BYTES} bytes")
    try:
        document: dict[str, Any] = tomllib.loads(registry.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Integrity(f"model registry {registry}: {error}") from error
    entry = document.get(name)
    if not isinstance(entry, dict):
        raise NotFound(f"model {name}: not in {registry}")
    fields = {key: entry.get(key) for key in ("file", "sha256", "version")}
    bad = [key for key, value in fields.items() if not isinstance(value, str)]
    if bad or Path(str(fields["file"])).name != fields["file"]:
        raise Integrity(f"model registry {registry}: {name}.{(bad or ['file'])[0]} is missing or no plain name")
    return {key: str(value) for key, value in fields.items()}
