"""The pages say what the code does: made pages are fresh, lists are complete, links and test names exist."""

import re
import tomllib
from pathlib import Path

import pytest

from docs import make_profile_reference
from runner import errors
from runner.errors import ExitCode, RunnerError

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_the_profile_reference_is_made_from_the_schemas() -> None:
    fresh = make_profile_reference.page()
    assert make_profile_reference.TARGET.read_text("utf-8") == fresh, "run: python docs/make_profile_reference.py"


def test_every_exit_code_and_every_error_is_explained() -> None:
    page = (ROOT / "docs" / "exit-codes.md").read_text("utf-8")
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)] == [int(code) for code in ExitCode]
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RunnerError)]
    for kind in kinds:
        if kind is not RunnerError:
            assert f"`{kind.code}`" in page, kind
        assert kind.__name__ in (errors.__doc__ or ""), kind


def test_every_warning_in_the_code_is_explained() -> None:
    page = (ROOT / "docs" / "exit-codes.md").read_text("utf-8")
    codes: set[str] = set()
    for path in (ROOT / "runner").rglob("*.py"):
        codes |= set(re.findall(r'(?:Finding\(|_warn\(|Warning\()\s*"([a-z_.-]+)"', path.read_text("utf-8")))
        for kind in re.findall(r'(?<!\w)warning\(\s*"([a-z-]+)"', path.read_text("utf-8")):
            codes.add(f"restore.{kind}")  # databases.postgresql.asking
    assert len(codes) > 16
    assert {code for code in codes if f"`{code}`" not in page} <= {"bug"}


def test_the_rooms_of_the_page_are_those_of_the_linter() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    for room in (room for layer in layers for room in layer.split(" | ")):
        assert re.search(rf"^[ │├└─]*{room} ", page, re.MULTILINE), room


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert anchor in headings, anchor


def test_the_tests_that_the_pages_name_exist() -> None:
    named = 0
    for page in PAGES:
        for file, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text("utf-8")):
            assert (ROOT / file).is_file(), file
            if name:
                named += 1
                assert f"def {name}(" in (ROOT / file).read_text("utf-8"), name
    assert named >= 10
