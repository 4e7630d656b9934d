"""Exclusion patterns: a table of what they mean, and an oracle that knows only `fnmatch` and one part at a time."""

import re
import warnings
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.media.select import Selection

KEPT, OUT = False, True


@pytest.mark.parametrize(
    ("pattern", "path", "excluded"),
    [
        ("*.tmp", "a.tmp", OUT),
        ("*.tmp", "deep/er/a.tmp", OUT),
        ("*.tmp", ".tmp", OUT),
        ("*.tmp", "a.tmp.pdf", KEPT),
        ("*.tmp", "a.tmp/inside.pdf", OUT),
        ("*.tmp", "line\nbreak.tmp", OUT),
        ("cache", "cache", OUT),
        ("cache", "cache/x/y", OUT),
        ("cache", "a/cache/x", OUT),
        ("cache", "caches", KEPT),
        ("cache/", "cache/x", OUT),
        ("cache/", "a/cache/x", OUT),
        ("/cache", "cache/x", OUT),
        ("/cache", "a/cache/x", KEPT),
        ("cache/**", "cache", KEPT),
        ("cache/**", "cache/x", OUT),
        ("cache/**", "cache/x/y", OUT),
        ("cache/**", "a/cache/x", KEPT),
        ("cache/*", "cache/x/y", OUT),
        ("exports/2024", "exports/2024/a.csv", OUT),
        ("exports/2024", "exports/20245", KEPT),
        ("exports/2024", "a/exports/2024", KEPT),
        ("a/*.jpg", "a/b.jpg", OUT),
        ("a/*.jpg", "a/b/c.jpg", KEPT),
        ("a/**/c", "a/c", OUT),
        ("a/**/c", "a/b/b/c", OUT),
        ("a/**/c", "xa/c", KEPT),
        ("**/thumbs", "thumbs/x", OUT),
        ("**/thumbs", "a/b/thumbs", OUT),
        ("**", "anything/at/all", OUT),
        ("?.pdf", "a.pdf", OUT),
        ("?.pdf", "é.pdf", OUT),
        ("?.pdf", "ab.pdf", KEPT),
        ("a?b", "a/b", KEPT),
        ("[ab].pdf", "a.pdf", OUT),
        ("[ab].pdf", "c.pdf", KEPT),
        ("[a-c].pdf", "b.pdf", OUT),
        ("[!a].pdf", "b.pdf", OUT),
        ("[!a].pdf", "a.pdf", KEPT),
        ("[^a].pdf", "b.pdf", OUT),
        ("[^a].pdf", "a.pdf", KEPT),
        ("x/a[!b]c", "x/a/c", KEPT),
        ("x/a[^b]c", "x/a/c", KEPT),
        ("[]].pdf", "].pdf", OUT),
        ("[!]].pdf", "].pdf", KEPT),
        ("[!]].pdf", "a.pdf", OUT),
        ("x[+-9]y", "x/y", KEPT),
        ("x[/]y", "x/y", KEPT),
        ("[!", "[!", OUT),
        ("[", "[", OUT),
        ("[]", "[]", OUT),
        ("[-a].pdf", "-.pdf", OUT),
        ("[a-].pdf", "-.pdf", OUT),
        ("[\\d].pdf", "5.pdf", KEPT),
        ("[\\d].pdf", "\\.pdf", OUT),
        ("[open.pdf", "[open.pdf", OUT),
        ("a+b(c).pdf", "a+b(c).pdf", OUT),
        ("a.pdf", "axpdf", KEPT),
        ("$", "$", OUT),
        ("", "a", KEPT),
        ("/", "a", KEPT),
        ("reçus/*.bak", "reçus/é.bak", OUT),
        ("*.tmp", "caf\udce9.tmp", OUT),
    ],
)
def test_what_a_pattern_means(pattern: str, path: str, excluded: bool) -> None:
    assert (Selection([pattern], ignore_case=False).excluding(path) is not None) is excluded


def test_case_matters_where_it_matters_to_the_file_system() -> None:
    assert Selection(["*.TMP"], ignore_case=False).excluding("a.tmp") is None
    assert Selection(["*.TMP"], ignore_case=True).excluding("a.tmp") == "*.TMP"
    assert Selection(["[A-C].pdf"], ignore_case=True).excluding("b.pdf") == "[A-C].pdf"


def test_the_pattern_that_leaves_a_path_out_is_named() -> None:
    selection = Selection(["*.tmp", "cache/**", "a"], ignore_case=False)
    assert selection.excluding("cache/x") == "cache/**"
    assert selection.excluding("a/x.tmp") == "a"
    assert selection.excluding("kept") is None
    assert Selection([]).excluding("anything") is None


names = st.text(st.sampled_from("ab.é-[]!^*?\\\n"), min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
pieces = st.sampled_from(["a", "b", ".", "é", "*", "?", "[ab]", "[!a]", "[a-b]"])
segments = st.one_of(st.just("**"), st.lists(pieces, min_size=1, max_size=4).map("".join))
patterns = st.builds(
    lambda lead, parts, trail: lead + "/".join(parts) + trail,
    st.sampled_from(["", "/"]),
    st.lists(segments, min_size=1, max_size=4),
    st.sampled_from(["", "/"]),
)


def oracle(pattern: str, path: str) -> bool:
    """The rules again, in the plainest way: part by part, `**` as any number of parts, then every folder above."""
    parts = pattern.strip("/").split("/")
    if "/" not in pattern.rstrip("/"):
        parts = ["**", *parts]
    split = path.split("/")
    return any(matches(parts, split[:end]) for end in range(1, len(split) + 1))


def matches(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(path)
        return any(matches(pattern[1:], path[skipped:]) for skipped in range(len(path) + 1))
    return bool(path) and fnmatchcase(path[0], pattern[0]) and matches(pattern[1:], path[1:])


def has_stars_beside_others(pattern: str) -> bool:
    """`a**` says nothing that `.gitignore` defines; only a part that is nothing but `**` means many folders."""
    return any("**" in part and part != "**" for part in pattern.strip("/").split("/"))


@given(pattern=patterns.filter(lambda pattern: not has_stars_beside_others(pattern)), path=paths)
def test_as_the_oracle_says(pattern: str, path: str) -> None:
    assert (Selection([pattern], ignore_case=False).excluding(path) is not None) is oracle(pattern, path)


@given(patterns=st.lists(patterns, max_size=3), path=paths)
def test_a_walk_that_judges_entry_by_entry_leaves_out_the_same(patterns: list[str], path: str) -> None:
    selection = Selection(patterns, ignore_case=False)
    parts = path.split("/")
    above = ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
    assert any(map(selection.excludes_entry, above)) is (selection.excluding(path) is not None)


@pytest.mark.parametrize("pattern", ["[z-a]", "[[a]", "[a--b]", "[a&&b]", "[a||b]", "[a~~b]"])
def test_sets_that_the_validation_must_refuse_are_told(pattern: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        re.purge()
        with pytest.raises((re.error, FutureWarning)):
            Selection([pattern])
