"""The one command: `vedette <noun> <verb>`. Nouns come from the entry points of the group `vedette.commands`.

Decided here: how errors become one line and an exit code, and how a reading command prints for people or as JSON.
The contract imports neither device nor centre: each registers its own nouns, and one that cannot be imported on
this machine (a missing extra) is left out and named when it is asked for.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sqlite3
import sys
from collections.abc import Collection, Sequence
from typing import Any

from vedette import __version__
from vedette.errors import Integrity, NotFound, Refused, VedetteError

GROUP = "vedette.commands"
OWN = frozenset({"vedette", "edge", "sync", "simulator", "models"})
EXTRAS = {"sync.central": "central", "simulator": "simulator"}  # the rest is the device's

Nouns = Any  # argparse's own class for sub-parsers is private and generic only for type checkers


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 fine, 2 usage, else the error's own (see `vedette.errors`)."""
    words = list(sys.argv[1:] if argv is None else argv)
    run = None
    try:
        parser = build_parser(*[word for word in words[:2] if not word.startswith("-")])
        args = parser.parse_args(words)
        run = getattr(args, "run", None)
        if run is None:
            getattr(args, "help_parser", parser).print_help(sys.stderr)
            return 2
        return int(run(args) or 0)
    except ModuleNotFoundError as error:
        if not _is_others(error):
            raise
        print(f"vedette: {_lacks(error, run)}", file=sys.stderr)
        return NotFound.exit_code
    except VedetteError as error:
        print(f"vedette: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        print(f"vedette: {_of_the_machine(error)}", file=sys.stderr)
        return NotFound.exit_code if isinstance(error, FileNotFoundError) else Refused.exit_code
    except sqlite3.DatabaseError as error:
        print(f"vedette: {_of_the_database(error)}", file=sys.stderr)
        return Refused.exit_code if isinstance(error, sqlite3.OperationalError) else Integrity.exit_code
    except KeyboardInterrupt:
        return 130


def _is_others(error: ModuleNotFoundError) -> bool:
    """Whether a package of somebody else is missing, which an extra brings; a missing part of ours is a mistake."""
    return error.name is not None and error.name.partition(".")[0] not in OWN


def _lacks(error: ModuleNotFoundError, target: object) -> str:
    extra = _extra(getattr(target, "__module__", ""))
    return f"this needs the Python package {error.name}; install vedette[{extra}]"


def _of_the_machine(error: OSError) -> str:
    """A full disk, a folder without permission, a device that is gone: no mistake of the program, so no traceback."""
    reason = error.strerror or str(error) or type(error).__name__
    names = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    return f"{names}: {reason}" if names else reason


def _of_the_database(error: sqlite3.DatabaseError) -> str:
    if isinstance(error, sqlite3.OperationalError):
        return f"the database was not read or written: {error}; see that its disk has space and nothing holds it"
    return f"the database is damaged: {error}; restore it from a copy"


def build_parser(asked: str = "", verb: str = "") -> argparse.ArgumentParser:
    """The parser of the noun `asked`; of every noun that this machine can import when it is none.

    Raises NotFound where the noun has no verb `verb` here and a package that could bring it is missing.

    An entry point is named after its noun (`evidence`), with a dot and more when another side adds verbs to it
    (`evidence.central`), so that one command need not import what all the others are made of.
    """
    parser = argparse.ArgumentParser(prog="vedette", description="Edge software for body-worn and vehicle cameras.")
    parser.add_argument("--version", action="version", version=f"vedette {__version__}")
    nouns = parser.add_subparsers(metavar="NOUN", title="nouns")
    entries = sorted(importlib.metadata.entry_points(group=GROUP), key=lambda one: one.name)
    wanted = [one for one in entries if one.name.partition(".")[0] == asked] or entries
    missing: dict[str, str] = {}
    for target in dict.fromkeys(one.value for one in wanted):
        try:
            register = next(one for one in wanted if one.value == target).load()
        except ModuleNotFoundError as error:
            if not _is_others(error):
                raise
            missing[target] = f"needs the Python package {error.name}; install vedette[{_extra(target)}]"
            continue
        register(nouns)
    if missing:
        verbs = _verbs(nouns, asked)
        if wanted is not entries and (not verbs or (verb and verb not in verbs)):
            command = f"{asked} {verb}" if verbs else asked
            raise NotFound(f"{command} {next(iter(missing.values()))}")
        about = "; ".join(f"{target.partition(':')[0]} {needs}" for target, needs in missing.items())
        for shown in (parser, *nouns.choices.values()):
            shown.epilog = f"Not available with what is installed here: {about}"
    return parser


def _extra(target: str) -> str:
    """The extra (setup.cfg) that brings what the module of an entry point, or of a command, imports."""
    return next((extra for module, extra in EXTRAS.items() if target.startswith(module)), "device")


def _verbs(nouns: Nouns, asked: str) -> Collection[str]:
    """The verbs that the noun `asked` has on this machine."""
    found = nouns.choices.get(asked)
    verbs = found.get_default("verbs") if found is not None else None
    return verbs.choices if verbs is not None else ()


def noun(nouns: Nouns, name: str, *, help: str) -> Nouns:
    """The verbs of the noun `name`, made once however many register verbs for it."""
    found = nouns.choices.get(name)
    if found is not None:
        return found.get_default("verbs")
    parser = nouns.add_parser(name, help=help, description=help)
    verbs = parser.add_subparsers(metavar="VERB", title="verbs")
    parser.set_defaults(verbs=verbs, help_parser=parser)
    return verbs


def add_json(parser: argparse.ArgumentParser) -> None:
    """Give a reading command its `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON for scripts")


def show(args: argparse.Namespace, value: Any, text: str) -> None:
    """Print `value` as JSON when asked, else `text`."""
    print(json.dumps(value, ensure_ascii=False, sort_keys=True) if args.json else text)


def table(rows: Sequence[Sequence[str]], *, heads: Sequence[str]) -> str:
    """`rows` in aligned columns under `heads`."""
    lines = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


if __name__ == "__main__":
    sys.exit(main())
