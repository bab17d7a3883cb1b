"""`vedette witness …`: be a witness of somebody's log, and check a log, a checkpoint or a proof as an auditor."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from sync import witness_client
from sync.witness_service import WitnessServer
from vedette import cli, files, log_policy, note, proof, tiles, witness
from vedette.clock import SystemClock, iso
from vedette.errors import Integrity, NotTrusted, Usage
from vedette.note import NoteKey
from vedette.witness_folder import WitnessFolder


def register(nouns: cli.Nouns) -> None:
    """Add the noun `witness`."""
    verbs = cli.noun(nouns, "witness", help="watch a centre's log, and check it from outside")
    init = _verb(verbs, "init", _init, "make a witness in an empty folder")
    init.add_argument("folder", type=Path, metavar="FOLDER")
    init.add_argument("name", metavar="NAME", help="like an URL without scheme: witness.example/w1")
    watch = _verb(verbs, "watch", _watch, "watch a log from now on")
    watch.add_argument("folder", type=Path, metavar="FOLDER")
    watch.add_argument("key", metavar="LOG_KEY", help="from `vedette central log key`, by a way that you trust")
    show = _verb(verbs, "show", _show, "the witness's key, and what it cosigned last")
    show.add_argument("folder", type=Path, metavar="FOLDER")
    cli.add_json(show)
    sign = _verb(verbs, "sign", _sign, "answer one request from a file (no network); prints the signature line")
    sign.add_argument("folder", type=Path, metavar="FOLDER")
    sign.add_argument("request", type=Path, metavar="REQUEST")
    serve = _verb(verbs, "serve", _serve, "answer over HTTP until stopped (C2SP tlog-witness)")
    serve.add_argument("folder", type=Path, metavar="FOLDER")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=0, help="0 takes a free one and says which")
    _register_checks(verbs)


def _register_checks(verbs: Any) -> None:
    audit = _verb(verbs, "audit", _audit, "check a whole log that `vedette central log export` wrote")
    audit.add_argument("folder", type=Path, metavar="DIR")
    audit.add_argument("--policy", type=Path, required=True, help="whom to trust: a C2SP tlog-policy file")
    cli.add_json(audit)
    check = _verb(verbs, "check", _check, "check a bundle's .proof, or a checkpoint, against a policy")
    check.add_argument("file", type=Path, metavar="FILE")
    check.add_argument("--policy", type=Path, required=True, help="whom to trust: a C2SP tlog-policy file")
    cli.add_json(check)
    compare = _verb(verbs, "compare", _compare, "do two witnesses (or files) hold the same log? finds a split view")
    compare.add_argument("first", metavar="URL|FILE")
    compare.add_argument("second", metavar="URL|FILE")
    compare.add_argument("--log", required=True, metavar="LOG_KEY")


def _verb(verbs: Any, name: str, run: Any, help: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=help)
    parser.set_defaults(run=run)
    return parser


def _init(args: argparse.Namespace) -> int:
    made = WitnessFolder.create(args.folder, args.name)
    print(made.key.text)
    return 0


def _watch(args: argparse.Namespace) -> int:
    try:
        key = NoteKey.from_text(args.key)
    except Integrity as error:
        raise Usage(str(error)) from None
    WitnessFolder(args.folder).watch(key)
    print(f"{key.name} is watched from its next checkpoint on")
    return 0


def _show(args: argparse.Namespace) -> int:
    folder = WitnessFolder(args.folder)
    logs = folder.logs()
    value = {
        "key": folder.key.text,
        "logs": [{"key": one.key.text, "size": one.seen.size if one.seen else 0} for one in logs],
        "refused": [str(path) for path in folder.refused()],
    }
    rows = [(one.key.name, str(one.seen.size) if one.seen else "none yet") for one in logs]
    text = f"{folder.key.text}\n\n{cli.table(rows, heads=('log', 'cosigned leaves'))}"
    if folder.refused():
        text += (
            f"\n\n{len(folder.refused())} signed checkpoints did NOT fit; they are kept in {folder.folder / 'refused'}"
        )
    cli.show(args, value, text)
    return 0


def _sign(args: argparse.Namespace) -> int:
    body = files.read(args.request, max_bytes=witness.MAX_REQUEST_BYTES).decode("utf-8", "replace")
    try:
        line = WitnessFolder(args.folder).add(body, SystemClock().utc_us() // 1_000_000)
    except witness.Rejected as error:
        raise NotTrusted(f"not cosigned ({error.status}): {error}") from None
    print(line, end="")
    return 0


def _serve(args: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    with WitnessServer(WitnessFolder(args.folder), args.host, args.port) as server:
        host, port = server.server_address[:2]
        print(f"http://{host!s}:{port}/", flush=True)
        server.serve_forever()
    return 0


def _audit(args: argparse.Namespace) -> int:
    policy = log_policy.load_policy(args.policy)
    found = policy.check(_text(args.folder / tiles.CHECKPOINT_PATH))
    devices: dict[str, int] = {}
    for _index, leaf in tiles.check_tiles(tiles.read_folder(args.folder), found.checkpoint):
        device = proof.LogLeaf.from_bytes(leaf).device
        devices[device] = devices.get(device, 0) + 1
    value = {"size": found.checkpoint.size, "cosigned": dict(found.cosigned), "devices": devices}
    rows = [(device, str(count)) for device, count in sorted(devices.items())]
    text = f"every one of {found.checkpoint.size} leaves is proven; {_who(found)}\n\n"
    cli.show(args, value, text + cli.table(rows, heads=("device", "items")))
    return 0


def _check(args: argparse.Namespace) -> int:
    policy, text = log_policy.load_policy(args.policy), _text(args.file)
    parsed = proof.Proof.from_text(text) if text.startswith(proof.HEADER) else None
    found = policy.check(parsed.checkpoint if parsed else text)
    value: dict[str, Any] = {"size": found.checkpoint.size, "cosigned": dict(found.cosigned)}
    said = f"checkpoint of {found.checkpoint.size} leaves of {found.checkpoint.origin}; {_who(found)}"
    if parsed:
        log = next(key for key in policy.logs if key.name == found.checkpoint.origin)
        leaf, _ = proof.verify(parsed, log.name, log.public)
        value |= {"index": parsed.index, "item": leaf.item}
        said = f"item {leaf.item} of {leaf.device} is leaf {parsed.index} in it\n{said}"
    cli.show(args, value, said)
    return 0


def _compare(args: argparse.Namespace) -> int:
    try:
        log = NoteKey.from_text(args.log)
    except Integrity as error:
        raise Usage(f"--log: {error}") from None
    first, second = (_checkpoint_at(where, log) for where in (args.first, args.second))
    split = witness.find_split(first, second, log)
    if split is not None:
        print(f"{first}\n{second}", end="")
        raise NotTrusted(
            f"SPLIT VIEW: {log.name} signed two different logs of {split.size} leaves; the checkpoints above prove it"
        )
    sizes = [note.open_checkpoint(one, log.name, log.public).size for one in (first, second)]
    same = "the same tree" if sizes[0] == sizes[1] else "no contradiction by itself; only a consistency proof decides"
    print(f"{sizes[0]} and {sizes[1]} leaves: {same}")
    return 0


def _checkpoint_at(where: str, log: NoteKey) -> str:
    if where.startswith(("http://", "https://")):
        return witness_client.last_cosigned(where, log.name)
    return _text(Path(where))


def _who(found: log_policy.Witnessed) -> str:
    times = [f"{name} at {iso(time_s * 1_000_000)}" for name, time_s in sorted(found.cosigned.items())]
    return "cosigned by " + ", ".join(times) if times else "no witness cosigned it"


def _text(path: Path) -> str:
    return files.read(path, max_bytes=proof.MAX_PROOF_BYTES).decode("utf-8", "replace")
