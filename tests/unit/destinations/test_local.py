"""What only a folder can meet: it is missing, closed, full of others' files, or takes two names for one."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.destinations.local import LocalFolder
from runner.errors import DestinationFailed, ExitCode, exit_code_of
from runner.model.profile import LocalDestination
from tests.privileges import unprivileged


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "archive.zip").write_bytes(b"sealed")
    return tmp_path / "work" / "archive.zip"


def local(folder: Path) -> LocalFolder:
    return LocalFolder(LocalDestination(folder))


class StaleListing(LocalFolder):
    """A folder whose listing lags behind, or shows names in another Unicode form or case than it takes them."""

    def names(self) -> frozenset[str]:
        return frozenset()


def test_a_missing_folder_is_an_error_and_is_never_made(tmp_path: Path, sealed: Path) -> None:
    folder = local(tmp_path / "usb" / "backups")
    for call in (folder.check, folder.names, folder.list, lambda: folder.put(sealed, "a.zip", None, lambda _: None)):
        with pytest.raises(DestinationFailed) as caught:
            call()
        assert caught.value.where == str(tmp_path / "usb" / "backups")
        assert caught.value.hint is not None
        assert exit_code_of(caught.value) is ExitCode.DESTINATION
    assert not (tmp_path / "usb").exists()


def test_a_file_in_the_place_of_the_folder_is_an_error(sealed: Path) -> None:
    with pytest.raises(DestinationFailed):
        local(sealed).check()


@pytest.fixture
def somebody(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    with unprivileged(tmp_path) as command:
        yield command


CHECK = """
import sys; from pathlib import Path
from runner.destinations.local import LocalFolder; from runner.model.profile import LocalDestination
from runner.errors import DestinationFailed
try: LocalFolder(LocalDestination(Path(sys.argv[1]))).check()
except DestinationFailed as error: print(error, '|', error.hint)
else: print('good')
"""


@pytest.mark.parametrize(("mode", "good"), [(0o777, True), (0o555, False), (0o333, False), (0o666, False)])
@pytest.mark.parametrize("below", ["", "below"])
def test_a_closed_folder_is_an_error(
    tmp_path: Path, somebody: tuple[str, ...], mode: int, good: bool, below: str
) -> None:
    folder = tmp_path / "out"
    (folder / "below").mkdir(parents=True)
    (folder / "below").chmod(0o777)
    folder.chmod(mode)
    done = subprocess.run(
        [*somebody, sys.executable, "-c", CHECK, str(folder / below)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    passable = below and mode & 0o001
    assert (done.stdout.strip() == "good") is bool(good or passable)


def test_a_taken_name_that_is_not_listed_gets_a_number(tmp_path: Path, sealed: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"of another machine")
    given: list[str] = []
    folder = StaleListing(LocalDestination(tmp_path))
    putting = threading.Thread(
        target=lambda: given.append(folder.put(sealed, "a.zip", None, lambda _: None)), daemon=True
    )
    putting.start()
    putting.join(20)
    assert given == ["a-2.zip"]
    assert (tmp_path / "a.zip").read_bytes() == b"of another machine"
    assert (tmp_path / "a-2.zip").read_bytes() == b"sealed"


def test_what_is_no_archive_of_ours_is_not_listed(tmp_path: Path, sealed: Path) -> None:
    (tmp_path / "folder.zip").mkdir()
    (tmp_path / ".a.zip.run.partial").write_bytes(b"half")
    local(tmp_path).put(sealed, "a.zip", None, lambda _: None)
    assert [stored.name for stored in local(tmp_path).list()] == ["a.zip"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_an_archive_is_private_on_this_disk(tmp_path: Path, sealed: Path) -> None:
    sealed.chmod(0o600)
    local(tmp_path).put(sealed, "a.zip", None, lambda _: None)
    assert (tmp_path / "a.zip").stat().st_mode & 0o777 == 0o600


def test_a_second_name_costs_no_second_copy(tmp_path: Path, sealed: Path) -> None:
    if os.name == "nt":
        pytest.skip("Windows copies")
    local(tmp_path).put(sealed, "a.zip", None, lambda _: None)
    assert (tmp_path / "a.zip").stat().st_ino == sealed.stat().st_ino
