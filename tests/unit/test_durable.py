"""Files that are whole or not there."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runner.durable import (
    FlushBehind,
    append_line,
    create_private,
    flush_folder,
    make_private_folder,
    move_into_place,
    remove_tree,
    replace_atomically,
    same_file_system,
)

posix_only = pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@posix_only
def test_files_and_folders_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        create_private(tmp_path / "file").close()
        make_private_folder(tmp_path / "a" / "b")
        append_line(tmp_path / "lines", b"x")
        replace_atomically(tmp_path / "record", b"x")
    finally:
        os.umask(before)
    assert [mode(tmp_path / name) for name in ("file", "lines", "record")] == [0o600] * 3
    assert [mode(tmp_path / name) for name in ("a", "a/b")] == [0o700] * 2


@posix_only
def test_an_existing_folder_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    make_private_folder(tmp_path)
    assert mode(tmp_path) == 0o750


def test_a_taken_name_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        create_private(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_link_with_a_taken_name_is_not_followed(tmp_path: Path) -> None:
    if os.name == "nt":
        pytest.skip("links need a privilege on Windows")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        create_private(tmp_path / "link")
    (tmp_path / "source").write_bytes(b"new")
    with pytest.raises(FileExistsError):
        move_into_place(tmp_path / "source", tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_moving_gives_the_name_and_takes_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"new")
    move_into_place(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["target"]


def test_moving_never_replaces(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"new")
    (tmp_path / "target").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        move_into_place(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "source").read_bytes() == b"new"
    assert (tmp_path / "target").read_bytes() == b"old"


def test_of_many_movers_one_wins(tmp_path: Path) -> None:
    sources = [tmp_path / str(number) for number in range(8)]
    for source in sources:
        source.write_bytes(source.name.encode())
    won: list[Path] = []
    at_once = threading.Barrier(len(sources))

    def move(source: Path) -> None:
        at_once.wait()
        try:
            move_into_place(source, tmp_path / "target")
        except FileExistsError:
            return
        won.append(source)

    threads = [threading.Thread(target=move, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert (tmp_path / "target").read_bytes() == won[0].name.encode()


@pytest.mark.parametrize("call", ["link", "fsync"])
def test_moving_where_the_system_will_not(call: str, tmp_path: Path) -> None:
    """Without hard links the file is renamed; without a durable name there is no name."""
    from tests.requirements import requires_program

    strace = requires_program("strace", only="linux")
    (tmp_path / "source").write_bytes(b"new")
    (tmp_path / "taken").write_bytes(b"old")
    script = (
        "import sys; from pathlib import Path; from runner.durable import move_into_place\n"
        "for name in ('taken', 'target'):\n"
        "    try: move_into_place(Path('source'), Path(name))\n"
        "    except OSError as error: print(name, type(error).__name__)\n"
    )
    error = {"link": "EPERM", "fsync": "EIO"}[call]
    done = subprocess.run(
        [str(strace), "-qq", "-o", os.devnull, "-e", f"inject={call}:error={error}", sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (tmp_path / "taken").read_bytes() == b"old"
    if call == "link":
        assert done.stdout.split() == ["taken", "FileExistsError"]
        assert (tmp_path / "target").read_bytes() == b"new"
        assert not (tmp_path / "source").exists()
    else:
        assert done.stdout.split() == ["taken", "FileExistsError", "target", "OSError"]
        assert not (tmp_path / "target").exists()
        assert (tmp_path / "source").read_bytes() == b"new"


def test_replacing_leaves_one_file_with_the_new_content(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        replace_atomically(tmp_path / "record", content)
        assert (tmp_path / "record").read_bytes() == content
    assert os.listdir(tmp_path) == ["record"]


def test_replacing_goes_on_after_a_crash_left_its_temporary_file(tmp_path: Path) -> None:
    (tmp_path / f".record.{os.getpid()}.new").write_bytes(b"half")
    replace_atomically(tmp_path / "record", b"whole")
    assert (tmp_path / "record").read_bytes() == b"whole"


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", b"new\n"), (b"one\n", b"one\nnew\n"), (b"one\ntwo cut sh", b"one\ntwo cut sh\nnew\n"), (b"\n", b"\nnew\n")],
)
def test_a_line_is_a_line_whatever_stood_before(tmp_path: Path, before: bytes, after: bytes) -> None:
    (tmp_path / "lines").write_bytes(before)
    append_line(tmp_path / "lines", b"new")
    assert (tmp_path / "lines").read_bytes() == after


def test_folders_are_flushed_or_the_error_is_told(tmp_path: Path) -> None:
    flush_folder(tmp_path)
    if os.name != "nt":
        with pytest.raises(FileNotFoundError):
            flush_folder(tmp_path / "none")


def test_one_file_system(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert same_file_system(tmp_path, tmp_path / "a")
    memory = Path("/dev/shm")
    if memory.is_dir() and os.stat(memory).st_dev != tmp_path.stat().st_dev:
        assert not same_file_system(tmp_path, memory)


def test_a_tree_is_removed_while_another_process_adds_to_it(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    script = (
        "import sys\nprint('go', flush=True)\n"
        "try:\n    for n in range(100_000): open(f'{sys.argv[1]}/{n}', 'w').close()\n"
        "except OSError: print('stopped')\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tree)], stdout=subprocess.PIPE) as adding:
        assert adding.stdout is not None
        adding.stdout.readline()
        remove_tree(tree)
        assert adding.stdout.read().strip() == b"stopped"
    assert os.listdir(tmp_path) == []
    remove_tree(tree)


def test_a_tree_is_removed_where_its_other_name_is_taken(tmp_path: Path) -> None:
    for name in ("tree", "tree.removed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"x")
    remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_a_growing_file_is_flushed_behind_its_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = threading.Event()
    really = os.fsync

    def flush(descriptor: int) -> None:
        really(descriptor)
        flushed.set()

    monkeypatch.setattr(os, "fsync", flush)
    with create_private(tmp_path / "file") as file, FlushBehind(file) as behind:
        file.write(b"x" * 100)
        behind.written(100)
        assert not flushed.is_set()
        behind.written(64 << 20)
        assert flushed.wait(60)
        behind.finish()
    assert (tmp_path / "file").read_bytes() == b"x" * 100


def test_what_an_early_flush_was_told_is_told_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system tells a failure of the disk once: the last flush would know nothing of it."""
    told = threading.Event()

    def fail_once(_descriptor: int) -> None:
        if not told.is_set():
            told.set()
            raise OSError(errno.EIO, "the disk")

    monkeypatch.setattr(os, "fsync", fail_once)
    with create_private(tmp_path / "file") as file, FlushBehind(file) as behind:
        behind.written(64 << 20)
        assert told.wait(60)
        with pytest.raises(OSError, match="the disk"):
            behind.finish()
