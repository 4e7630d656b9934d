"""What a path in a database column means below the media root."""

import os
import sys
from pathlib import Path

import pytest

from runner.media.references import ReferenceResolver, Resolution, Verdict, reference_key
from runner.media.select import Selection


def resolve_reference(value: str, root: Path, url: str | None, selection: Selection) -> Resolution:
    """Both ways of asking, which must not differ."""
    quick, plain = (ReferenceResolver(root, url, selection, aliases=aliases) for aliases in (False, True))
    found = plain.resolve(value)
    assert os.name == "nt" or quick.resolve(value) == quick.resolve(value) == found
    return found


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
    (root / "elsewhere").symlink_to("..")
    (root / "here").symlink_to(".")
    assert resolve_reference("elsewhere/outside.pdf", root, None, Selection([])).verdict is Verdict.OUTSIDE
    assert resolve_reference("here/a%20b.pdf", root, None, Selection([])).path == "a%20b.pdf"
    assert resolve_reference("here/reçus/2026/n° 1.pdf", root, None, Selection([])).path == "reçus/2026/n° 1.pdf"


def test_a_link_to_what_is_left_out_or_is_no_file_is_no_file(root: Path) -> None:
    (root / "hidden.pdf").symlink_to("cache/x.pdf")
    (root / "dangling.pdf").symlink_to("nowhere.pdf")
    (root / "folder.pdf").symlink_to("reçus")
    (root / "loop.pdf").symlink_to("loop.pdf")
    found = resolve_reference("hidden.pdf", root, None, Selection(["cache/**"]))
    assert (found.verdict, found.path, found.pattern) == (Verdict.EXCLUDED, "cache/x.pdf", "cache/**")
    for name in ("dangling.pdf", "folder.pdf", "loop.pdf"):
        assert resolve_reference(name, root, None, Selection([])).verdict is Verdict.MISSING


@pytest.mark.parametrize(
    ("value", "url", "verdict"),
    [
        ("/media/x.pdf", "/media/", Verdict.FOUND),
        ("/media/x.pdf", "/media", Verdict.FOUND),
        ("media/x.pdf", "/media", Verdict.FOUND),
        ("/media//x.pdf", "/media/", Verdict.FOUND),
        ("https://cdn.example/m/x.pdf", "https://cdn.example/m/", Verdict.FOUND),
        ("https://cdn.example/m/x%2Epdf", "https://cdn.example/m/", Verdict.FOUND),
        ("https://other.example/m/x.pdf", "https://cdn.example/m/", Verdict.OUTSIDE),
        ("/mediax.pdf", "/media", Verdict.OUTSIDE),
        ("/media-2/x.pdf", "/media", Verdict.OUTSIDE),
        ("/media/../outside.pdf", "/media/", Verdict.OUTSIDE),
        ("/media/%2e%2e/outside.pdf", "/media/", Verdict.OUTSIDE),
        ("/media/", "/media/", Verdict.OUTSIDE),
        ("/x.pdf", "/", Verdict.FOUND),
        ("x.pdf", "/", Verdict.FOUND),
        ("x.pdf", None, Verdict.FOUND),
        (".", None, Verdict.MISSING),
        ("./", None, Verdict.MISSING),
        ("file:///x.pdf", None, Verdict.OUTSIDE),
        ("C:/x.pdf", None, Verdict.OUTSIDE),
        ("\\\\server\\share\\x.pdf", None, Verdict.OUTSIDE),
        ("x" * 5000, None, Verdict.MISSING),
    ],
)
def test_what_stands_in_front_of_a_path(root: Path, value: str, url: str | None, verdict: Verdict) -> None:
    (root / "x.pdf").write_text("x", "utf-8")
    assert resolve_reference(value, root, url, Selection([])).verdict is verdict


def test_bytes_that_are_no_text_are_names_too(root: Path) -> None:
    if os.name == "nt":
        pytest.skip("names on Windows are Unicode")
    (root / os.fsdecode(b"caf\xe9.pdf")).write_text("x", "utf-8")
    for value in ("caf\udce9.pdf", "caf%E9.pdf"):
        assert resolve_reference(value, root, None, Selection([])).verdict is Verdict.FOUND


def test_a_name_in_another_normal_form_is_another_file_where_the_system_says_so(root: Path) -> None:
    """The application itself could not open it."""
    if sys.platform != "linux":
        pytest.skip("this file system knows one form of a name")
    (root / "e\u0301.pdf").write_text("x", "utf-8")
    assert resolve_reference("e\u0301.pdf", root, None, Selection([])).verdict is Verdict.FOUND
    assert resolve_reference("\u00e9.pdf", root, None, Selection([])).verdict is Verdict.MISSING


def test_two_spellings_of_one_name() -> None:
    assert reference_key("e\u0301.pdf") == reference_key("\u00e9.pdf")
    assert reference_key("A.pdf", ignore_case=True) == reference_key("a.pdf", ignore_case=True)
    assert reference_key("A.pdf", ignore_case=False) != reference_key("a.pdf", ignore_case=False)
