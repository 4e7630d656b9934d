"""What a path in a database column means below the media root."""

from pathlib import Path

import pytest

from runner.media.references import Verdict, reference_key, resolve_reference
from runner.media.select import Selection


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = (tmp_path / "media").resolve()
    (root / "reçus" / "2026").mkdir(parents=True)
    (root / "reçus" / "2026" / "n° 1.pdf").write_text("x", "utf-8")
    (root / "a%20b.pdf").write_text("x", "utf-8")
    (root / "cache").mkdir()
    (root / "cache" / "x.pdf").write_text("x", "utf-8")
    (tmp_path / "outside.pdf").write_text("x", "utf-8")
    return root


@pytest.mark.parametrize(
    "value",
    [
        "reçus/2026/n° 1.pdf",
        "./reçus/2026/n° 1.pdf",
        "reçus//2026/../2026/n° 1.pdf",
        "reçus\\2026\\n° 1.pdf",
        "re%C3%A7us/2026/n%C2%B0%201.pdf",
        "/media/reçus/2026/n° 1.pdf",
        "media/reçus/2026/n° 1.pdf",
        "/media/re%C3%A7us/2026/n%C2%B0%201.pdf",
    ],
)
def test_forms_that_applications_store(root: Path, value: str) -> None:
    found = resolve_reference(value, root, "/media/", Selection([]))
    assert (found.verdict, found.path) == (Verdict.FOUND, "reçus/2026/n° 1.pdf")


def test_the_literal_form_comes_first(root: Path) -> None:
    assert resolve_reference("a%20b.pdf", root, None, Selection([])).path == "a%20b.pdf"


@pytest.mark.parametrize(
    "value",
    [
        "../outside.pdf",
        "reçus/../../outside.pdf",
        "/etc/passwd",
        "C:\\x.pdf",
        "https://cdn.example/x.pdf",
        "..%2Foutside.pdf/../../x",
    ],
)
def test_values_that_lead_out(root: Path, value: str) -> None:
    assert resolve_reference(value, root, "/media/", Selection([])).verdict in (Verdict.OUTSIDE, Verdict.MISSING)
    if not value.startswith("..%2F"):
        assert resolve_reference(value, root, "/media/", Selection([])).verdict is Verdict.OUTSIDE


@pytest.mark.parametrize("value", ["nope.pdf", "reçus/2026", "reçus/2026/n° 1.pdf/x", "nul\0.pdf", "\udce9.pdf"])
def test_values_that_name_no_file(root: Path, value: str) -> None:
    assert resolve_reference(value, root, None, Selection([])).verdict is Verdict.MISSING


def test_an_excluded_file_is_told_apart(root: Path) -> None:
    found = resolve_reference("cache/x.pdf", root, None, Selection(["cache/**"]))
    assert (found.verdict, found.pattern) == (Verdict.EXCLUDED, "cache/**")


def test_links_are_followed_to_the_file_that_is_saved(root: Path) -> None:
    (root / "photos").symlink_to("reçus")
    (root / "out.pdf").symlink_to(root.parent / "outside.pdf")
    assert resolve_reference("photos/2026/n° 1.pdf", root, None, Selection([])).path == "reçus/2026/n° 1.pdf"
    assert resolve_reference("out.pdf", root, None, Selection([])).verdict is Verdict.OUTSIDE


def test_two_spellings_of_one_name() -> None:
    assert reference_key("e\u0301.pdf") == reference_key("\u00e9.pdf")
    assert reference_key("A.pdf", ignore_case=True) == reference_key("a.pdf", ignore_case=True)
    assert reference_key("A.pdf", ignore_case=False) != reference_key("a.pdf", ignore_case=False)
