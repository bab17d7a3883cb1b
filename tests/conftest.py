"""What all tests share: hypothesis without a deadline, where photographs lie, and other people's age tool."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]
NPM_PACKAGE = "age-encryption@0.3.1"
NPM_FOLDER = ROOT / "build" / "npm"

# A loaded machine is slow and not wrong.
settings.register_profile("vedette", deadline=None)
settings.load_profile("vedette")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of photographs, clips and public vectors; tests that need one of them skip where it is missing."""
    named = os.environ.get("VEDETTE_DATA")
    return Path(named) if named else ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def npm_age() -> Path:
    """A folder in which node finds the package age-encryption; kept between runs under build/npm."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed (apt install nodejs npm)")
    if not (NPM_FOLDER / "node_modules" / "age-encryption").is_dir():
        NPM_FOLDER.mkdir(parents=True, exist_ok=True)
        (NPM_FOLDER / "package.json").write_text('{"private": true, "type": "module"}\n')
        install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", NPM_PACKAGE]
        done = subprocess.run(install, cwd=NPM_FOLDER, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            pytest.skip(f"npm cannot install {NPM_PACKAGE}: {done.stderr.strip()[:200]}")
    return NPM_FOLDER
