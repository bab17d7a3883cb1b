"""What all tests share: hypothesis without a deadline, photographs, a manifest, a key for models, another age tool,
a browser, what a process writes.
"""

import dataclasses
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from simulator.freight import make_manifest
from vedette.clock import FakeClock, uuid7
from vedette.keys import SigningKey
from vedette.records import Manifest

ROOT = Path(__file__).parents[1]
NPM_PACKAGE = "age-encryption@0.3.1"
NPM_TUS = "tus-js-client@4.3.1"
NPM_AEDES = "aedes@1.2.0"
BUILD = ROOT / "build"
NPM_FOLDER = BUILD / "npm"

# A loaded machine is slow and not wrong.
settings.register_profile("vedette", deadline=None)
# `make fuzz`: other examples in each round, also where a CI sets hypothesis to the same ones every time.
settings.register_profile(
    "long",
    deadline=None,
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "20000")),
    derandomize=False,
    print_blob=True,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "vedette"))


class Written:
    """Which paths this process has opened to write, made, moved or removed while it was `watched`."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self._is_on = False
        sys.addaudithook(self._hear)  # for the rest of the process: it hears nothing more once nobody watches

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_on:
            return
        if event == "open":
            path, _mode, flags = arguments
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
                self._note(path)
        elif event in ("os.rename", "os.link", "os.symlink", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"):
            for path in arguments[:2]:
                self._note(path)

    def _note(self, path: Any) -> None:
        if isinstance(path, (str, bytes, os.PathLike)):
            self.paths.add(os.path.realpath(os.fsdecode(path)))

    @contextmanager
    def watched(self) -> Iterator[None]:
        self._is_on = True
        try:
            yield
        finally:
            self._is_on = False

    def outside(self, folder: Path) -> list[str]:
        """Those that are not below `folder`."""
        return sorted(path for path in self.paths if not path.startswith(os.path.realpath(folder) + os.sep))


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def folder_in_memory() -> Iterator[Path]:
    """A folder in memory where there is one, for what is written so often that no disk keeps up."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="vedette-test-", dir=memory if memory.is_dir() else None))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def run_dir(folder_in_memory: Path) -> Path:
    """A device's run folder, in memory as on the device."""
    return folder_in_memory


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of photographs, clips and public vectors; tests that need one of them skip where it is missing."""
    named = os.environ.get("VEDETTE_DATA")
    return Path(named) if named else ROOT.parent / "shared" / "data"


@pytest.fixture
def models_key(monkeypatch: pytest.MonkeyPatch) -> SigningKey:
    """A new key whose signature on a registry of models counts in this test, in place of the release's."""
    key = SigningKey.generate()
    monkeypatch.setenv("VEDETTE_MODEL_KEY", key.public.text)
    return key


@pytest.fixture(scope="session")
def manifest_of() -> Callable[..., Manifest]:
    """`manifest_of(sealed, **changes)`: a new item of car-1 with those sealed bytes, a hit unless changed."""

    def make(sealed: bytes, **changes: object) -> Manifest:
        made = make_manifest(sealed, item=uuid7(FakeClock()), kind="hit", device="car-1", at_us=1, software="test")
        return dataclasses.replace(made, **changes)

    return make


@pytest.fixture(scope="module")
def chromium_flags() -> list[str]:
    """What Chromium is started with; a module that needs more says so in a fixture of this name."""
    return [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def chromium(chromium_flags: list[str]) -> Iterator[Any]:
    """A Chromium without a window, one for all tests of a module."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Chromium is not installed (apt install chromium)")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=chromium_flags)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def one_at_a_time() -> Callable[[str], AbstractContextManager[None]]:
    """`with one_at_a_time("npm"):` no other test process prepares build/npm meanwhile."""
    return _one_at_a_time


@contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def npm_age() -> Path:
    """A folder in which node finds the package age-encryption; kept between runs under build/npm."""
    return npm_folder(NPM_PACKAGE)


@pytest.fixture(scope="session")
def npm_tus() -> Path:
    """A folder in which node finds the reference client of tus."""
    return npm_folder(NPM_TUS)


@pytest.fixture(scope="session")
def npm_aedes() -> Path:
    """A folder in which node finds aedes, a broker of plain MQTT 3.1.1."""
    return npm_folder(NPM_AEDES)


def npm_folder(package: str) -> Path:
    """The folder with `package` (name@version) installed in it, else the test is skipped."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed (apt install nodejs npm)")
    with _one_at_a_time(NPM_FOLDER.name):
        if not (NPM_FOLDER / "node_modules" / package.rpartition("@")[0]).is_dir():
            _npm_install(package)
    return NPM_FOLDER


def _npm_install(package: str) -> None:
    NPM_FOLDER.mkdir(parents=True, exist_ok=True)
    if not (NPM_FOLDER / "package.json").is_file():
        (NPM_FOLDER / "package.json").write_text('{"private": true, "type": "module"}\n')
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", package]
    done = subprocess.run(install, cwd=NPM_FOLDER, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm cannot install {package}: {done.stderr.strip()[:200]}")
