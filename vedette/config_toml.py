"""Reads a TOML file into a dataclass of sections, strictly: no unknown key, no missing one, every value in its bounds.

Decided here: that an unknown key is an error that names it and the nearest known one, that one which has moved (a
section's `MOVED`: old name, new place) is refused with what to write, and that relative paths are relative to the
file's folder. Which keys there are is config.py.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
import typing
from dataclasses import field
from pathlib import Path
from typing import Any, TypeVar

from vedette import files
from vedette.errors import Refused, Usage

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_CONFIG_BYTES = 256 * 1024
T = TypeVar("T")


def number(default: int, least: int, most: int) -> Any:
    """An integer key with its default and bounds."""
    return field(default=default, metadata={"least": least, "most": most})


def choice(default: str, *choices: str) -> Any:
    """A key that is one of these words."""
    return field(default=default, metadata={"choices": choices})


def parse(kind: type[T], path: Path) -> T:
    """The file at `path` as a `kind`; NotFound, Refused where it is no TOML, Usage where a key or value is wrong."""
    text = files.read(path, max_bytes=MAX_CONFIG_BYTES)
    try:
        document = tomllib.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # TOML's and UTF-8's own errors, too many digits, too deep
        raise Refused(f"{path} is not TOML: {error}") from None
    return _section(kind, document, where=str(path), base=path.resolve().parent)


def _section(kind: type[T], table: object, *, where: str, base: Path) -> T:
    if not isinstance(table, dict):
        raise Usage(f"{where}: expected a table")
    types = typing.get_type_hints(kind)
    known = {one.name: one for one in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in table:
        if name in getattr(kind, "MOVED", {}):
            section, _dot, key = kind.MOVED[name].partition(".")  # type: ignore[attr-defined]
            raise Usage(f"{where}: {name!r} has moved; write {key} = {_shown(table[name])} under [{section}] instead")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
            raise Usage(f"{where}: unknown key {name!r}{hint}")
    values = {}
    for name, one in known.items():
        place = f"{where}: {name}"
        if name in table:
            values[name] = _value(types[name], table[name], one.metadata, where=place, base=base)
        elif one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            raise Usage(f"{where}: the key {name!r} is missing")
    return kind(**values)


def _value(kind: Any, value: object, bounds: typing.Mapping[str, Any], *, where: str, base: Path) -> object:
    if dataclasses.is_dataclass(kind):
        return _section(kind, value, where=where, base=base)  # type: ignore[arg-type]
    if isinstance(value, str) and "\0" in value:
        raise Usage(f"{where} holds a zero character")
    if kind is Path and isinstance(value, str):
        return (base / value).resolve()
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        if not bounds["least"] <= value <= bounds["most"]:
            raise Usage(f"{where} is {value}; it must be from {bounds['least']} to {bounds['most']}")
        return value
    if kind is str and isinstance(value, str):
        if "choices" in bounds and value not in bounds["choices"]:
            raise Usage(f"{where} is {value!r}; it must be one of {', '.join(bounds['choices'])}")
        return value
    if isinstance(value, dict) and all(isinstance(inner, str) for inner in value.values()):
        return value
    raise Usage(f"{where} has a value of the wrong type")


def _shown(value: object) -> str:
    """A value as TOML has it, as far as people need it."""
    return json.dumps(value, ensure_ascii=False, default=str)[:80]
