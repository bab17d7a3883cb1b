"""Rules of the house that no linter knows: numbered requirements have tests, files hold one idea, one clock."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("vedette", "edge", "sync", "simulator", "models", "bench")
NUMBER = re.compile(r"\b[A-Z]{2}-\d+\b")
DEFINED = re.compile(r"\*\*([A-Z]{2}-\d+)\*\*")

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def suites() -> list[Path]:
    return [path for path in sorted((ROOT / "tests").rglob("*.py")) if path != Path(__file__)]


def specs() -> list[Path]:
    return sorted((ROOT / "docs" / "spec").glob("*.md"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def cited() -> set[str]:
    """Numbers in the docstrings of the tests: a number in a comment or a string proves nothing."""
    found: set[str] = set()
    for path in suites():
        for function in functions(path):
            if function.name.startswith("test_"):
                found |= set(NUMBER.findall(ast.get_docstring(function) or ""))
    return found


@pytest.mark.parametrize("spec", specs(), ids=lambda path: path.stem)
def test_every_number_of_a_spec_is_proved_by_a_test(spec: Path) -> None:
    defined = DEFINED.findall(spec.read_text())
    assert defined, f"{spec.name} defines no numbered requirement"
    assert len(defined) == len(set(defined)), f"{spec.name} defines a number twice"
    assert sorted(set(defined) - cited()) == []


def test_every_number_that_a_test_cites_exists() -> None:
    families = {number[:2] for spec in specs() for number in DEFINED.findall(spec.read_text())}
    defined = {number for spec in specs() for number in DEFINED.findall(spec.read_text())}
    assert sorted(number for number in cited() - defined if number[:2] in families) == []


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_holds_one_idea_and_a_function_fits_a_screen(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES
    long = [one.name for one in functions(path) if (one.end_lineno or 0) - one.lineno >= MAX_FUNCTION_LINES]
    assert long == []
    assert path.stem not in {"utils", "util", "helpers", "common", "misc", "manager"}


def test_a_file_of_tests_holds_one_idea_too() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in suites()}
    assert {name: count for name, count in lines.items() if count > MAX_FILE_LINES} == {}


@pytest.mark.parametrize("package", ["vedette", "edge", "sync"])
def test_only_one_module_reads_the_clock(package: str) -> None:
    """`time.monotonic` inside a socket's timeout is a wait, not a time; evidence and rules use `vedette.clock`."""
    pattern = re.compile(r"\btime\.time(_ns)?\(|datetime\.(now|utcnow|today)\(|date\.today\(")
    readers = [
        str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py") if pattern.search(path.read_text())
    ]
    assert [path for path in readers if path != "vedette/clock.py"] == []


def test_the_contract_has_no_network_and_no_threads() -> None:
    modules = "threading|http|urllib\\.request|ssl|asyncio|requests|paho"
    pattern = re.compile(rf"^\s*(import|from) ({modules})\b", re.MULTILINE)
    assert [path.name for path in (ROOT / "vedette").rglob("*.py") if pattern.search(path.read_text())] == []


def test_tests_have_no_package_files_that_shadow_the_product() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []
