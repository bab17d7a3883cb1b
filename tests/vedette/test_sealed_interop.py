"""Other people's age tools open what this code seals, and the reverse: npm `age-encryption`, Debian's `age`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from vedette.age_stream import CHUNK_BYTES
from vedette.sealed import HybridIdentity, X25519Identity, open_sealed, seal

OPEN_JS = """
import { Decrypter } from "age-encryption";
import { readFileSync, writeFileSync } from "node:fs";
const [identity, from, to] = process.argv.slice(1);
const decrypter = new Decrypter();
decrypter.addIdentity(identity);
writeFileSync(to, await decrypter.decrypt(readFileSync(from)));
"""
SEAL_JS = """
import { Encrypter } from "age-encryption";
import { readFileSync, writeFileSync } from "node:fs";
const [recipient, from, to] = process.argv.slice(1);
const encrypter = new Encrypter();
encrypter.addRecipient(recipient);
writeFileSync(to, await encrypter.encrypt(readFileSync(from)));
"""
RECIPIENT_JS = """
import { identityToRecipient } from "age-encryption";
console.log(await identityToRecipient(process.argv[1]));
"""
SIZES = [0, 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 1]
CONTENT = os.urandom(max(SIZES))

needs_age = pytest.mark.skipif(shutil.which("age") is None, reason="Debian's age is not installed (apt install age)")


def run_node(folder: Path, script: str, *arguments: str | Path) -> str:
    command = ["node", "--input-type=module", "-e", script, "--", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("identity", [HybridIdentity.generate(), X25519Identity.generate()], ids=["hybrid", "classic"])
def test_npm_age_encryption_opens_a_file_when_sealed_here(
    npm_age: Path, tmp_path: Path, identity: HybridIdentity | X25519Identity, size: int
) -> None:
    """SF-1, SF-6, SF-13."""
    (tmp_path / "sealed").write_bytes(seal(CONTENT[:size], [identity.recipient]))

    run_node(npm_age, OPEN_JS, identity.secret_text, tmp_path / "sealed", tmp_path / "opened")

    assert (tmp_path / "opened").read_bytes() == CONTENT[:size]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("identity", [HybridIdentity.generate(), X25519Identity.generate()], ids=["hybrid", "classic"])
def test_sealed_file_opens_here_when_npm_age_encryption_sealed_it(
    npm_age: Path, tmp_path: Path, identity: HybridIdentity | X25519Identity, size: int
) -> None:
    """SF-1, SF-6, SF-13."""
    (tmp_path / "plain").write_bytes(CONTENT[:size])

    run_node(npm_age, SEAL_JS, identity.recipient.text, tmp_path / "plain", tmp_path / "sealed")

    assert open_sealed((tmp_path / "sealed").read_bytes(), [identity]) == CONTENT[:size]


def test_recipient_is_the_same_when_npm_age_encryption_computes_it(npm_age: Path) -> None:
    """SF-7."""
    identity = HybridIdentity.generate()

    assert run_node(npm_age, RECIPIENT_JS, identity.secret_text).strip() == identity.recipient.text


@needs_age
@pytest.mark.parametrize("size", SIZES)
def test_debian_age_and_this_code_open_each_others_files_when_the_recipient_is_classic(
    tmp_path: Path, size: int
) -> None:
    """SF-1, SF-13."""
    identity = X25519Identity.generate()
    (tmp_path / "identity").write_text(identity.secret_text + "\n")
    (tmp_path / "ours").write_bytes(seal(CONTENT[:size], [identity.recipient]))

    opened = age("-d", "-i", tmp_path / "identity", tmp_path / "ours")
    theirs = age("-r", identity.recipient.text, feed=CONTENT[:size])

    assert opened == CONTENT[:size]
    assert open_sealed(theirs, [identity]) == CONTENT[:size]


def age(*arguments: str | Path, feed: bytes = b"") -> bytes:
    return subprocess.run(["age", *map(str, arguments)], input=feed, capture_output=True, timeout=30, check=True).stdout
