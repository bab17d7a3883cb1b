"""`make fuzz` tries more of every property in the files that it names, and lasts an hour where nobody says how long."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_TARGET = re.search(r"^fuzz:.*?\n\n", (ROOT / "Makefile").read_text(), re.MULTILINE | re.DOTALL)
TARGET = _TARGET[0] if _TARGET else ""
FILES = re.findall(r"tests/\S+\.py", TARGET)
EXAMPLES = 12_345


def test_target_lasts_an_hour_when_nobody_says_how_long() -> None:
    assert "$(or $(SECONDS),3600)" in TARGET
    assert len(FILES) == len(set(FILES)) >= 5


@pytest.mark.parametrize("file", FILES)
def test_every_property_of_a_file_tries_more_when_the_profile_is_long(file: str) -> None:
    """The number that each file takes for all its properties, and that none of them has one of its own."""
    source = (ROOT / file).read_text()
    numbers = re.findall(r"max_examples=([^,)]+)", source)
    assert all(re.fullmatch(r"(\d+ \* )?EXAMPLES", number) for number in numbers)
    assert len(re.findall(r"@given", source)) <= len(re.findall(r"@(settings|FUZZ)\b", source))
    line = next(one for one in source.splitlines() if one.startswith("EXAMPLES = "))
    ask = f"import conftest\nfrom hypothesis import settings\n{line}\nprint(EXAMPLES)"
    env = {**os.environ, "HYPOTHESIS_PROFILE": "long", "HYPOTHESIS_EXAMPLES": str(EXAMPLES)}
    done = subprocess.run(
        [sys.executable, "-c", ask], cwd=ROOT / "tests", env=env, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == EXAMPLES


def test_hypothesis_is_what_is_tested_when_a_file_is_named() -> None:
    for file in FILES:
        tree = ast.parse((ROOT / file).read_text())
        assert any(isinstance(node, ast.ImportFrom) and node.module == "hypothesis" for node in ast.walk(tree)), file
