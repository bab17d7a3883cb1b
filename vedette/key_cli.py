"""`vedette key generate|show`: identities that open sealed files, and signing keys.

Decided here: what is shown of a key file is its public half only; a key is never written over another file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vedette import cli, files
from vedette.clock import SystemClock, iso
from vedette.errors import Integrity, Usage
from vedette.keys import PublicKey, SigningKey
from vedette.sealed import HybridIdentity, load_identities, save_identity

_MAX_KEY_FILE_BYTES = 64 * 1024
_PEM = b"-----BEGIN "


def register(nouns: cli.Nouns) -> None:
    """Add the noun `key`."""
    verbs = cli.noun(nouns, "key", help="make and inspect keys")
    generate = verbs.add_parser("generate", help="make a key file (mode 0600)")
    generate.add_argument("path", type=Path, help="the file to write; it must not exist")
    generate.add_argument(
        "--kind",
        choices=("identity", "signing"),
        default="identity",
        help="identity: opens files sealed to it (post-quantum age key); signing: Ed25519",
    )
    cli.add_json(generate)
    generate.set_defaults(run=_generate)
    show = verbs.add_parser("show", help="show the public half of a key file")
    show.add_argument("path", type=Path)
    cli.add_json(show)
    show.set_defaults(run=_show)


def given_key(text: str, option: str = "--key") -> PublicKey:
    """The public key that a person gave with `option`; `Usage` when it is none."""
    try:
        return PublicKey.from_text(text)
    except Integrity as error:
        raise Usage(f"{option}: {error}") from None


def _generate(args: argparse.Namespace) -> int:
    if args.kind == "signing":
        SigningKey.generate().save(args.path)
    else:
        save_identity(args.path, HybridIdentity.generate(), created=iso(SystemClock().utc_us()))
    return _show(args)


def _show(args: argparse.Namespace) -> int:
    if files.read(args.path, max_bytes=_MAX_KEY_FILE_BYTES).startswith(_PEM):
        public = SigningKey.load(args.path).public
        cli.show(args, {"kind": "signing", "public": public.text, "key_id": public.key_id}, public.text)
        return 0
    texts = [identity.recipient.text for identity in load_identities(args.path)]
    cli.show(args, {"kind": "identity", "recipients": texts}, "\n".join(texts))
    return 0
