"""Files that cannot be read as text: one problem each, and never an exception."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.config.compose import read_document
from runner.config.place import Unreadable
from runner.config.source import MAX_BYTES, read_text


def refusal(path: Path) -> str:
    with pytest.raises(Unreadable) as refused:
        read_text(path, path.name)
    problem = refused.value.problem
    assert (problem.line, problem.column) == (1, 1)
    assert problem.hint is not None
    return str(problem.message)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert refusal(tmp_path / "school.yml") == "there is no such file"


def test_a_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "this is a folder, not a file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "school.yml")
    assert refusal(tmp_path / "school.yml") == "this is not a regular file"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is unreadable for this user")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "school.yml"
    path.write_text("version: 1\n")
    path.chmod(0)
    assert refusal(path) == "the file may not be read"


def test_paths_that_no_system_accepts(tmp_path: Path) -> None:
    assert refusal(tmp_path / "a\0b").startswith("the file cannot be read: ")
    assert refusal(tmp_path / ("a" * 5000))


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "school.yml"
    path.write_bytes(b"#" * MAX_BYTES)
    assert read_text(path, "school.yml")
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    assert refusal(path) == "the file is larger than 256 KiB"


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=300))
def test_no_bytes_make_it_raise(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.yml"
    path.write_bytes(content)
    document = read_document(path, "bytes.yml")
    assert document.data is not None or document.problems
