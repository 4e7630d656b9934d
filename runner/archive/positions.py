"""Reads a file at positions, from several threads at once."""

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

_STREAMS = threading.Lock()
"""One for all of them: only what is no file of the system needs it, and two readers may share a stream."""


def reading_at(file: BinaryIO) -> Callable[[int, int], bytes]:
    """How to read so many bytes from a position; fewer when the file is shorter. Raises OSError when it is called.

    A file of the system is asked without moving its position; any other is moved, by one thread at a time.
    """
    try:
        descriptor = file.fileno()
    except OSError:
        descriptor = -1
    if descriptor >= 0 and hasattr(os, "pread"):
        return partial(_read_file_at, descriptor)
    return partial(_read_stream_at, file)


def _read_file_at(descriptor: int, position: int, length: int) -> bytes:
    chunk = os.pread(descriptor, length, position)
    while chunk and len(chunk) < length and (more := os.pread(descriptor, length - len(chunk), position + len(chunk))):
        chunk += more
    return chunk


def _read_stream_at(file: BinaryIO, position: int, length: int) -> bytes:
    with _STREAMS:
        file.seek(position)
        return file.read(length)
