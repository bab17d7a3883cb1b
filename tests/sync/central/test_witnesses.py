"""A centre and its witnesses as real processes: cosignatures arrive, and a centre with two histories is caught."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sync import witness_client
from sync.central import cosigning
from sync.central.broker import find_mosquitto
from sync.central.log import Log
from sync.central.store import Store
from vedette import log_policy, merkle, note, proof, witness
from vedette.cli import main
from vedette.clock import FakeClock, uuid7
from vedette.cosignature import WitnessKey
from vedette.errors import NotTrusted, Refused, Usage
from vedette.keys import SigningKey
from vedette.note import Checkpoint, NoteKey
from vedette.proof import LogLeaf
from vedette.witness import Rejected, Request

ORIGIN = "centre.test/log"


class Running:
    """`vedette witness serve` on a folder of its own: its own process, key and disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "vedette.cli", "witness", "serve", str(self.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def running(tmp_path: Path, centre: Any) -> Iterator[Callable[[str], Running]]:
    """`running("w1")`: a new witness of the centre's log."""
    made: list[Running] = []

    def make(name: str) -> Running:
        folder = tmp_path / name
        assert main(["witness", "init", str(folder), f"{name}.test/x"]) == 0
        assert main(["witness", "watch", str(folder), log_key(centre).text]) == 0
        made.append(Running(folder))
        return made[-1]

    yield make
    for one in made:
        one.kill()


def log_key(centre: Any) -> NoteKey:
    return NoteKey(name=ORIGIN, public=centre.signer.key.public)


def policy_of(centre: Any, *witnesses: Running, threshold: str = "all") -> log_policy.Policy:
    lines = [f"log {log_key(centre).text}"]
    lines += [f"witness {one.folder.name} {key_of(one).text} {one.url}" for one in witnesses]
    lines += [f"group g {threshold} {' '.join(one.folder.name for one in witnesses)}", "quorum g"]
    text = "\n".join(lines) + "\n"
    (centre.folder / cosigning.POLICY).write_text(text)
    return log_policy.parse_policy(text)


def key_of(one: Running) -> WitnessKey:
    return WitnessKey.from_text(witness_text(one.url))


def witness_text(url: str) -> str:
    _status, _kind, text = witness_client._call(url, "GET", "/", None)
    return text.strip()


def grow(store: Store, key: SigningKey, count: int, mark: str = "a") -> None:
    with store.writing() as db:
        log = Log(db)
        for number in range(log.size, log.size + count):
            leaf = LogLeaf(
                item=uuid7(FakeClock()),
                kind="segment",
                device="car-1",
                sealed_sha256=mark * 64,
                sealed_size=number,
                manifest_sha256="cd" * 32,
                received_us=number,
            )
            log.append(leaf, ORIGIN, key)


def test_proof_meets_a_policy_of_two_when_both_witnesses_cosigned(
    centre: Any, running: Callable[[str], Running], tmp_path: Path, capsys: Any
) -> None:
    """TL-25, TL-31, TL-32: and the log goes on; the proof stays at the last checkpoint that both signed."""
    first, second = running("w1"), running("w2")
    policy = policy_of(centre, first, second)
    store, key = centre.store, centre.signer.key
    grow(store, key, 5)
    with pytest.raises(NotTrusted, match="cosigned by nobody; the policy asks for 2 of w1, w2"):
        policy.check(Log(store.db).checkpoint())

    assert [one.ok for one in cosigning.collect(store, policy)] == [True, True]
    grow(store, key, 4)
    assert [one.ok for one in cosigning.collect(store, policy)] == [True, True]
    grow(store, key, 2)

    text = Log(store.db).proof(3)
    found = policy.check(proof.Proof.from_text(text).checkpoint)
    assert found.checkpoint.size == 9
    assert set(found.cosigned) == {"w1.test/x", "w2.test/x"}
    leaf, _ = proof.verify(proof.Proof.from_text(text), ORIGIN, key.public)
    assert leaf.sealed_size == 3
    (tmp_path / "a.proof").write_text(text)
    capsys.readouterr()
    assert main(["witness", "check", str(tmp_path / "a.proof"), "--policy", str(centre.folder / "log.policy")]) == 0
    said = capsys.readouterr().out
    assert "is leaf 3 in it" in said
    assert "cosigned by w1.test/x at " in said


@pytest.mark.embedded  # the old copy is one of the folder
def test_split_view_is_caught_when_a_centre_shows_two_histories_to_two_witnesses(
    centre: Any, running: Callable[[str], Running], tmp_path: Path, capsys: Any
) -> None:
    """TL-25, TL-27, TL-30, TL-31: neither history gets both cosignatures, and the two witnesses together prove it."""
    first, second = running("w1"), running("w2")
    policy = policy_of(centre, first, second)
    key = centre.signer.key
    grow(centre.store, key, 6)
    assert all(one.ok for one in cosigning.collect(centre.store, policy))
    copy = tmp_path / "other-view"
    shutil.copytree(centre.folder, copy, ignore=shutil.ignore_patterns("run"))
    view_b = Store(copy, centre.clock)
    grow(centre.store, key, 3, "a")
    grow(view_b, key, 3, "b")

    only_first, only_second = (policy_of(centre, one, threshold="1") for one in (first, second))
    assert [one.ok for one in cosigning.collect(centre.store, only_first)] == [True]
    assert [one.ok for one in cosigning.collect(view_b, only_second)] == [True]
    for store, other in ((centre.store, only_second), (view_b, only_first)):
        (outcome,) = cosigning.collect(store, other)
        assert not outcome.ok
        assert "409" in outcome.message
        assert "SPLIT VIEW" in outcome.message
        with pytest.raises(NotTrusted, match="the policy asks for 2 of w1, w2"):
            policy.check(Log(store.db).checkpoint())
    grow(view_b, key, 1, "b")
    (outcome,) = cosigning.collect(view_b, only_first)
    assert "422" in outcome.message
    assert len(list((first.folder / "refused").iterdir())) == 2

    capsys.readouterr()
    assert main(["witness", "compare", first.url, second.url, "--log", log_key(centre).text]) == 11
    said = capsys.readouterr()
    assert "SPLIT VIEW" in said.err
    halves = said.out.split(f"\n{ORIGIN}\n")
    shown = [halves[0], f"{ORIGIN}\n{halves[1]}"]
    assert witness.find_split(shown[0] if shown[0].endswith("\n") else shown[0] + "\n", shown[1], log_key(centre))


def test_witness_still_knows_what_it_signed_when_it_was_killed(centre: Any, running: Callable[[str], Running]) -> None:
    """TL-28: kill -9 right after its answer, then another history."""
    one = running("w1")
    policy = policy_of(centre, one)
    grow(centre.store, centre.signer.key, 4)
    assert cosigning.collect(centre.store, policy)[0].ok
    one.kill()
    assert "cannot be asked" in _grown(centre, policy).message
    one.start()
    forged = note.sign_checkpoint(Checkpoint(origin=ORIGIN, size=4, root=bytes(32)), centre.signer.key)
    with pytest.raises(Rejected, match="SPLIT VIEW"):
        witness_client.ask(one.url, Request(old=4, proof=[], signed=forged))
    assert _grown(centre, policy_of(centre, one)).ok


@pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
def test_running_centre_gets_its_log_cosigned_when_it_has_a_policy(
    centre: Any, running: Callable[[str], Running]
) -> None:
    """TL-32: by a child process of its own, which ends with the centre."""
    policy_of(centre, running("w1"))
    grow(centre.store, centre.signer.key, 3)
    command = [sys.executable, "-m", "vedette.cli", "central", "run", "--config", str(centre.folder / "central.toml")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 60
        while not Log(centre.store.db).witnessed() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        process.terminate()
        assert process.wait(30) == 0
    assert Log(centre.store.db).witnessed() == {"w1.test/x": 3}
    assert not (centre.folder / "run" / "witnesses.pid.json").exists()


def _grown(centre: Any, policy: log_policy.Policy) -> cosigning.Outcome:
    grow(centre.store, centre.signer.key, 1)
    return cosigning.collect(centre.store, policy)[0]


@pytest.mark.embedded  # the old copy is one of the folder
def test_centre_raises_an_alarm_when_its_store_was_restored_from_an_old_copy(
    centre: Any, running: Callable[[str], Running], tmp_path: Path
) -> None:
    """TL-32."""
    policy = policy_of(centre, running("w1"))
    grow(centre.store, centre.signer.key, 3)
    copy = tmp_path / "old-copy"
    shutil.copytree(centre.folder, copy, ignore=shutil.ignore_patterns("run"))
    grow(centre.store, centre.signer.key, 3)
    assert cosigning.collect(centre.store, policy)[0].ok

    (outcome,) = cosigning.collect(Store(copy, centre.clock), policy)

    assert not outcome.ok
    assert "ALARM: the witness has seen 6 leaves, this log has 3" in outcome.message


def test_cosignature_is_taken_again_when_the_centre_lost_it(centre: Any, running: Callable[[str], Running]) -> None:
    """TL-32: the witness signed and the centre died before it kept the line."""
    policy = policy_of(centre, running("w1"))
    grow(centre.store, centre.signer.key, 3)
    (one,) = policy.witnesses.values()
    witness_client.ask(one.url, cosigning.request_for(Log(centre.store.db), 0, 3))
    assert cosigning.collect(centre.store, policy)[0].ok
    assert policy.check(Log(centre.store.db).checkpoint()).cosigned


def test_answer_is_not_kept_when_it_is_not_the_witness_s(centre: Any, running: Callable[[str], Running]) -> None:
    """TL-22, TL-32."""
    policy = policy_of(centre, running("w1"))
    grow(centre.store, centre.signer.key, 3)
    stranger = note.signature_line("w9.test", bytes(76))
    for answer in ("", stranger):
        (outcome,) = cosigning.collect(centre.store, policy, ask=lambda _url, _request, said=answer: said)
        assert not outcome.ok
    assert Log(centre.store.db).witnessed() == {}


def test_request_and_line_travel_as_files_when_the_witness_has_no_network(
    centre: Any, tmp_path: Path, capsys: Any
) -> None:
    """TL-26, TL-32."""
    folder = tmp_path / "w1"
    assert main(["witness", "init", str(folder), "w1.test/x"]) == 0
    key = capsys.readouterr().out.strip()
    assert main(["witness", "watch", str(folder), log_key(centre).text]) == 0
    text = f"log {log_key(centre).text}\nwitness w1 {key}\nquorum w1\n"
    (centre.folder / cosigning.POLICY).write_text(text)
    for size in (4, 7):
        grow(centre.store, centre.signer.key, size - Log(centre.store.db).size)
        for command, name in (
            (["central", "log", "request", str(centre.folder), "w1"], "request"),
            (["witness", "sign", str(folder), str(tmp_path / "request")], "line"),
            (["central", "log", "cosign", str(centre.folder), "w1", str(tmp_path / "line")], "said"),
        ):
            capsys.readouterr()
            assert main(command) == 0
            (tmp_path / name).write_text(capsys.readouterr().out)
        assert log_policy.parse_policy(text).check(Log(centre.store.db).checkpoint()).checkpoint.size == size
    assert main(["witness", "show", str(folder), "--json"]) == 0
    assert '"size": 7' in capsys.readouterr().out


def test_auditor_checks_the_whole_log_when_it_has_the_files_and_a_policy(
    centre: Any, running: Callable[[str], Running], tmp_path: Path, capsys: Any
) -> None:
    """TL-16, TL-19, TL-25."""
    policy = policy_of(centre, running("w1"))
    grow(centre.store, centre.signer.key, 300)
    cosigning.collect(centre.store, policy)
    assert main(["central", "log", "export", str(centre.folder), str(tmp_path / "log")]) == 0
    command = ["witness", "audit", str(tmp_path / "log"), "--policy", str(centre.folder / "log.policy")]
    assert main(command) == 0
    assert "every one of 300 leaves is proven; cosigned by w1.test/x" in capsys.readouterr().out
    entries = tmp_path / "log" / "tile" / "entries" / "000"
    entries.chmod(0o644)
    entries.write_bytes(entries.read_bytes().replace(b"car-1", b"car-2", 1))
    assert main(command) == 10
    assert "leaf 0 and its hash differ" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/", None, 200),
        ("GET", "/logs", None, 200),
        ("GET", "/logs/centre.test%2Flog", None, 404),
        ("GET", "/logs/other", None, 404),
        ("GET", "/etc/passwd", None, 404),
        ("POST", "/other", b"x", 404),
        ("POST", "/add-checkpoint", b"", 400),
        ("POST", "/add-checkpoint", b"\xff\xfe", 400),
        ("POST", "/add-checkpoint", b"old 0\n\nx\n", 400),
        ("POST", "/add-checkpoint", b"x" * (witness.MAX_REQUEST_BYTES + 1), 413),
    ],
)
def test_witness_answers_with_the_specification_s_status_when_asked_anything(
    centre: Any, running: Callable[[str], Running], method: str, path: str, body: bytes | None, status: int
) -> None:
    """TL-31."""
    assert witness_client._call(running("w1").url, method, path, body)[0] == status


def test_client_says_what_is_wrong_when_there_is_no_witness_or_no_address() -> None:
    """TL-32."""
    request = Request(old=0, proof=[], signed="")
    with pytest.raises(Refused, match="cannot be asked"):
        witness_client.ask("http://127.0.0.1:9/", request)
    for url in ("ftp://x/", "x", "http://"):
        with pytest.raises(Usage):
            witness_client.ask(url, request)


def test_frontier_of_the_log_and_its_tiles_agree_when_cosigned(centre: Any) -> None:
    """TL-4: the root that is signed is the root of the leaves."""
    grow(centre.store, centre.signer.key, 20)
    log = Log(centre.store.db)
    leaves = [merkle.leaf_hash(leaf) for leaf in log.leaves(0, 20)]
    assert note.open_checkpoint(log.checkpoint(), ORIGIN, centre.signer.key.public).root == merkle.root(leaves)
