"""Bad input at the command line, as its users give it: one clear line, the right exit code, nothing half-written.

Every case is a process of its own. What a module's own tests show already (every field of a list, every byte of a
bundle, every key of the configuration) is not repeated here.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from vedette.sealed import HybridIdentity, load_identities, save_identity, seal

REFUSED, USAGE, NOT_FOUND, INTEGRITY, NOT_TRUSTED = 1, 2, 3, 10, 11
HEAD = "plate,region,reason,priority,source,valid_from,valid_to"
GOOD = "LS15EBC,GB,stolen,high,test,2026-01-01,2026-12-31"
BUNDLE = Path(__file__).parent / "vectors" / "bundle" / "zip" / "whole.zip"
VENV = Path(sys.executable).parent.parent
ROOT = Path(__file__).parents[1]
BASE = ("vedette-*.dist-info", "cryptography*", "cffi*", "_cffi_backend*", "pycparser*")


def vedette(*words: object, cwd: Path, typed: str = "", timeout_s: float = 30) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vedette.cli", *map(str, words)]
    return subprocess.run(command, cwd=cwd, input=typed, capture_output=True, text=True, timeout=timeout_s, check=False)


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """What the command said of its failure; a traceback is a failure of its own."""
    assert "Traceback" not in done.stderr, done.stderr
    return next((line for line in done.stderr.splitlines() if line.startswith("vedette: ")), done.stderr)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A centre, another centre, an enrolled device and one that is not, keys and files that are none."""
    desk = tmp_path_factory.mktemp("desk")
    for made in (
        ("central", "init", "central"),
        ("central", "init", "foreign"),
        ("device", "init", "car-1", "--id", "car-1", "--run", "/dev/shm"),
        ("device", "init", "car-2", "--id", "car-2", "--run", "/dev/shm"),
        ("central", "enrol", "central", "car-1", "--device", "car-1"),
    ):
        done = vedette(*made, cwd=desk)
        assert done.returncode == 0, done.stderr
    save_identity(desk / "other.identity", HybridIdentity.generate(), created="now")
    identity = load_identities(desk / "central-keys" / "evidence.identity")[0]
    (desk / "sealed.age").write_bytes(seal(os.urandom(200_000), [identity.recipient]))
    shutil.copy(desk / "sealed.age", desk / "sealed.segment.age")
    (desk / "cut.age").write_bytes((desk / "sealed.age").read_bytes()[:150_000])
    (desk / "broken.csv").write_text(f"{HEAD}\n{GOOD}\nAB12CDE,GB,stolen,soon,test,2026-01-01,2026-12-31\n")
    (desk / "typo.csv").write_text(f"{HEAD.replace('region', 'regoin')}\n{GOOD}\n")
    (desk / "good.csv").write_text(f"{HEAD}\n{GOOD}\n")
    (desk / "text.mp4").write_text("this is no video")
    (desk / "empty.mp4").touch()
    (desk / "empty").mkdir()
    for folder, model in (("unsigned", None), ("exchanged", "this is no model")):
        (desk / folder).mkdir()
        shutil.copy(ROOT / "models" / "registry.toml", desk / folder)
        if model is not None:
            (desk / folder / "detector.tflite").write_text(model)
    (desk / "typo.toml").write_text('[device]\nid = "car-1"\ndata = "car-1"\n[camera]\nadaptor = "clip"\n')
    config = '[device]\nid = "car-1"\ndata = "car-1"\nrun = "/dev/shm"\n[camera]\nsource = "'
    (desk / "lost.toml").write_text(f'{config}{desk}/lost.mp4"\n')
    (desk / "text.toml").write_text(f'{config}{desk}/text.mp4"\n')
    return desk


CASES = [
    ("read nothing.jpg", NOT_FOUND, "nothing.jpg"),
    ("read empty", REFUSED, "no pictures or videos"),
    ("read text.mp4 --every 0", USAGE, "--every 0"),
    ("read text.mp4 --models empty", NOT_FOUND, "registry.toml is missing"),
    ("read text.mp4 --models nowhere", NOT_FOUND, "registry.toml is missing"),
    ("read text.mp4 --models unsigned", NOT_TRUSTED, "registry.sig is missing"),
    ("model list --models nowhere", NOT_FOUND, "registry.toml is missing"),
    ("model list --models good.csv", NOT_FOUND, "registry.toml is missing"),
    ("model verify --models empty", NOT_FOUND, "registry.toml is missing"),
    ("model verify --models unsigned", NOT_TRUSTED, "registry.sig is missing"),
    ("model arithmetic --models unsigned", NOT_TRUSTED, "registry.sig is missing"),
    ("model bench --models unsigned", NOT_TRUSTED, "registry.sig is missing"),
    ("model bench --seconds 0", USAGE, "--seconds 0"),
    ("model bench --seconds nan", USAGE, "--seconds nan"),
    ("model bench --threads 0", USAGE, "0 threads: give 1 to 64"),
    ("model bench --threads 65", USAGE, "65 threads: give 1 to 64"),
    ("model sign --key nothing --models exchanged", NOT_FOUND, "nothing is not there"),
    ("model sign --key good.csv --models exchanged", REFUSED, "not a private key"),
    ("model sign --key car-1/keys/sign.pem --models empty", NOT_FOUND, "registry.toml is missing"),
    ("model sign --key car-1/keys/sign.pem --models unsigned", NOT_FOUND, "detector.tflite is missing"),
    ("model sign --key car-1/keys/sign.pem --models exchanged", INTEGRITY, "detector.tflite has hash"),
    ("camera probe lost.mp4", NOT_FOUND, "the clip lost.mp4 is not there"),
    ("camera probe text.mp4", REFUSED, "text.mp4 is not a video"),
    ("camera probe empty.mp4", REFUSED, "empty.mp4 is not a video"),
    ("sim demo --headless --folder demo --video lost.mp4", NOT_FOUND, "lost.mp4 is not there"),
    ("sim demo --headless --folder demo --video text.mp4", REFUSED, "text.mp4 is not a video"),
    ("sim demo --headless --folder empty/../central --seconds 5", REFUSED, "is not empty"),
    ("device run recorder --config lost.toml", NOT_FOUND, "lost.mp4 is not there"),
    ("device run recorder --config text.toml", REFUSED, "text.mp4 is not a video"),
    ("device run recorder --config typo.toml", USAGE, "did you mean 'adapter'?"),
    ("device run keeper --config nothing.toml", NOT_FOUND, "nothing.toml is not there"),
    ("device run keeper --config car-2/device.toml", NOT_FOUND, "central enrol"),
    ("device run reader --config car-2/device.toml", NOT_FOUND, "central enrol"),
    ("uplink run --config car-2/device.toml", NOT_FOUND, "central enrol"),
    ("device init car-1 --id car-1", REFUSED, "holds a device already"),
    ("device init new --id NotAnId", USAGE, "not a device id"),
    ("device init good.csv/new --id car-9", REFUSED, "Not a directory"),
    ("central init central", REFUSED, "not empty"),
    ("central init /proc/vedette", NOT_FOUND, "/proc/vedette"),
    ("central run --config central/nothing.toml", NOT_FOUND, "nothing.toml is not there"),
    ("central enrol central car-2 --device car-1", REFUSED, "says this device is car-1"),
    ("central enrol central car-1 --device car-1", REFUSED, "never given twice"),
    ("central enrol central car-9 --device nowhere", NOT_FOUND, "nowhere is not there"),
    ("central revoke central car-9", NOT_FOUND, "no device 'car-9'"),
    ("central status nowhere", NOT_FOUND, "central init"),
    ("central user add central chief", REFUSED, "a password has"),
    ("watchlist check broken.csv", REFUSED, "1 bad cell"),
    ("watchlist check typo.csv", REFUSED, "did you mean 'region'?"),
    ("watchlist check /dev/null", REFUSED, "the column 'plate' is missing"),
    ("watchlist import central nothing.csv", NOT_FOUND, "nothing.csv is not there"),
    ("watchlist import central good.csv --expires-days 0", USAGE, "--expires-days"),
    ("watchlist publish central --version 7", NOT_FOUND, "no such watchlist version"),
    ("evidence list nowhere", NOT_FOUND, "central init"),
    ("evidence export central nothing -o out.zip", NOT_FOUND, "no item and no recording"),
    ("evidence open sealed.age --identity other.identity -o out", NOT_TRUSTED, "sealed to other keys"),
    ("evidence open sealed.age --identity car-1/keys/sign.pem -o out", REFUSED, "sign.pem line 1"),
    ("evidence open sealed.age --identity nothing -o out", NOT_FOUND, "nothing is not there"),
    ("evidence open sealed.age --identity central-keys/evidence.identity -o no/out", NOT_FOUND, "the folder no"),
    ("evidence open sealed.age --identity central-keys/evidence.identity -o good.csv", REFUSED, "not overwritten"),
    ("evidence open cut.age --identity central-keys/evidence.identity -o out", INTEGRITY, "--recover"),
    ("evidence open good.csv --identity other.identity -o out", INTEGRITY, "not a sealed file"),
    ("evidence open empty --identity other.identity -o out", REFUSED, "Is a directory"),
    ("evidence verify nothing.zip", NOT_FOUND, "nothing.zip is not there"),
    ("evidence verify good.csv", USAGE, "neither a bundle"),
    (f"evidence verify {BUNDLE} --trust good.csv", INTEGRITY, "good.csv: a record is not JSON"),
    ("custody show empty", NOT_FOUND, "no line of a custody journal"),
    ("custody verify good.csv", USAGE, "whose signatures?"),
    ("custody verify good.csv --key ed25519:AAAA", USAGE, "--key: "),
    ("evidence verify sealed.segment.age --key ed25519:AAAA", USAGE, "--key: "),
    ("key generate other.identity", REFUSED, "not overwritten"),
    ("key show good.csv", REFUSED, "good.csv line 1"),
    ("sim render text.mp4", REFUSED, "not overwritten"),
]


@pytest.mark.parametrize(("words", "code", "said"), CASES, ids=[case[0][:60] for case in CASES])
def test_command_says_what_is_wrong_and_leaves_nothing_when_its_input_is_bad(
    desk: Path, words: str, code: int, said: str
) -> None:
    before = names(desk)
    done = vedette(*words.split(), cwd=desk)
    assert (done.returncode, said in complaint(done)) == (code, True), done.stderr
    assert done.stdout == ""
    assert {name for name in names(desk) - before if not name.endswith(("-wal", "-shm"))} == set()


def test_nothing_is_published_and_the_row_is_named_when_a_row_of_the_csv_is_broken(desk: Path) -> None:
    done = vedette("watchlist", "import", "central", "broken.csv", cwd=desk)
    assert done.returncode == REFUSED
    assert "row 3, priority 'soon': it is not one of high, normal, low" in done.stderr
    assert "Traceback" not in done.stderr
    assert vedette("watchlist", "publish", "central", cwd=desk).returncode == NOT_FOUND
    assert list((desk / "central" / "blobs").rglob("*/*")) == []


def test_reader_tells_of_each_picture_when_a_folder_holds_odd_ones(tmp_path: Path) -> None:
    grey = np.full((400, 600), 90, np.uint8)
    good = {
        "one.png": np.zeros((1, 1, 3), np.uint8),
        "thin.png": np.zeros((1, 5000), np.uint8),
        "deep.png": grey.astype(np.uint16) * 257,
        "clear.png": np.dstack([grey] * 4),
        "grey.jpg": grey,
        "huge.jpg": np.zeros((16_000, 16_000), np.uint8),
    }
    for name, picture in good.items():
        cv2.imwrite(str(tmp_path / name), picture)
    jpeg = cv2.imencode(".jpg", np.random.default_rng(1).integers(0, 255, (600, 800, 3), np.uint8))[1].tobytes()
    (tmp_path / "half.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    cv2.imwrite(str(tmp_path / "huge.png"), np.zeros((16_000, 16_000), np.uint8))
    for name, content in {"cut.jpg": jpeg[:300], "empty.jpg": b"", "text.jpg": b"text", "text.mp4": b"text"}.items():
        (tmp_path / name).write_bytes(content)
    done = vedette("read", ".", cwd=tmp_path, timeout_s=60)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == REFUSED
    assert "Traceback" not in done.stderr
    assert {line["file"] for line in lines if "error" in line} == {
        "huge.png", "cut.jpg", "empty.jpg", "text.jpg", "text.mp4", "half.jpg",
    }  # fmt: skip
    assert {line["file"] for line in lines if "plates" in line} == {*good, "half.jpg"}


READING = [
    "central status central --json",
    "central user list central --json",
    "device status --config car-1/device.toml --json",
    "uplink status --config car-1/device.toml --json",
    "evidence list central --json",
    "hits list central --json",
    "key show other.identity --json",
    "model list --json",
    "model arithmetic --json",
    "watchlist check good.csv --json",
    f"evidence verify {BUNDLE} --json",
]


@pytest.mark.parametrize("words", READING)
def test_reading_command_prints_one_json_document_when_asked(desk: Path, words: str) -> None:
    done = vedette(*words.split(), cwd=desk)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) is not None


@pytest.fixture
def base_install(tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs the command with only the packages that `pip install vedette` without extras brings."""
    site = next((VENV / "lib").glob("python3*/site-packages"))
    packages = [part for pattern in BASE for part in site.glob(pattern)]
    ours = [ROOT / name for name in ("vedette", "edge", "sync", "simulator", "models")]
    for part in [*packages, *ours]:
        (tmp_path / part.name).symlink_to(part)
    start = f"import sys; sys.path.append({str(tmp_path)!r}); from vedette.cli import main; sys.exit(main())"
    command = [sys.executable, "-I", "-S", "-c", start]

    def run(words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *words.split()], capture_output=True, text=True, timeout=30, check=False)

    return run


Run = Callable[[str], subprocess.CompletedProcess[str]]


def test_bundle_verifies_when_nothing_but_the_base_is_installed(base_install: Run) -> None:
    done = base_install(f"evidence verify {BUNDLE} --json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["exit_code"] == 0


def test_models_are_listed_when_nothing_but_the_base_is_installed(base_install: Run) -> None:
    done = base_install("model list --json")
    assert done.returncode == 0, done.stderr
    assert [one["name"] for one in json.loads(done.stdout)["models"]] == ["detector", "reader"]


@pytest.mark.parametrize(
    "words", ["read a.jpg", "central status central", "sim demo", "uplink status", "model verify", "model bench"]
)
def test_command_names_the_missing_package_when_nothing_but_the_base_is_installed(
    base_install: Run, words: str
) -> None:
    done = base_install(words)
    assert (done.returncode, "needs the Python package" in complaint(done)) == (NOT_FOUND, True), done.stderr
