"""What a test needs from the machine. Where it is missing the test skips and says why; under `CI` it fails instead."""

import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

NO_DATA = "none"


def unmet(reason: str) -> NoReturn:
    """Skip the test, or fail it where `CI` promises that everything is there."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (a failure, because `CI` is set)", pytrace=False)
    pytest.skip(reason)


def requires_program(*names: str, only: str | None = None) -> Path:
    """The first of `names` on PATH. With `only`, a prefix of `sys.platform`, it is not expected on other systems."""
    for name in names:
        if found := shutil.which(name):
            return Path(found)
    if only and not sys.platform.startswith(only):
        pytest.skip(f"`{names[0]}` exists on {only} only")
    unmet(f"needs the program {' or '.join(f'`{name}`' for name in names)}")


def requires_data(*names: str) -> list[Path]:
    """The files `names` of the folder that `RUNNER_TEST_DATA` points at.

    They are not part of the project. `RUNNER_TEST_DATA=none` says that a CI machine does not have them.
    """
    folder = os.environ.get("RUNNER_TEST_DATA", "")
    if folder == NO_DATA:
        pytest.skip("needs the test data, and `RUNNER_TEST_DATA` is `none`")
    if not folder:
        unmet("needs the test data; set `RUNNER_TEST_DATA` to their folder")
    files = [Path(folder, name).resolve() for name in names]
    if absent := [file.name for file in files if not file.is_file()]:
        unmet(f"`RUNNER_TEST_DATA` points at a folder without {', '.join(absent)}")
    return files


@contextmanager
def folder_on_another_disk(tmp_path: Path) -> Iterator[Path]:
    """A new folder on another file system than `tmp_path`, so that nothing can be renamed between them."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    folder = memory / f"runner-{secrets.token_hex(8)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
