"""Layout of text for people: sizes, times, tables that fit the terminal, blocks of findings."""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

from runner.errors import Finding

_NARROWEST = 30
_UNWRAPPED = 1000


def terminal_width() -> int:
    """Columns of the terminal. What is not read on one (a pipe, a log) is not wrapped, unless `COLUMNS` says so."""
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return _UNWRAPPED
    return max(_NARROWEST, shutil.get_terminal_size().columns)


def size_text(size_bytes: int) -> str:
    """`1.2 MiB`, exact below one KiB."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size_bytes} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def count_text(count: int, one: str, many: str) -> str:
    """`1 file`, `2,345 files`."""
    return f"{count:,} {one if count == 1 else many}"


def printable(text: str) -> str:
    """Control characters and half characters as escapes, so that no name can move the cursor or break a line."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def finding_lines(kind: str, finding: Finding) -> Iterator[str]:
    """What happened, where, why, and `hint:` what to do; wrapped to the terminal."""
    yield from wrapped(f"{kind}: {_where_first(finding)}", "  ")
    if finding.hint is not None:
        yield from wrapped(f"  hint: {finding.hint}", "    ")


def wrapped(text: str, indent: str = "") -> Iterator[str]:
    """Lines of at most the terminal's width; continuation lines are indented. A long path is never broken."""
    for number, paragraph in enumerate(text.splitlines()):
        yield from textwrap.wrap(
            printable(paragraph.lstrip("\t")),  # libpq indents by tabs, we by spaces
            terminal_width(),
            initial_indent="" if number == 0 else indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
            drop_whitespace=True,
        ) or [""]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Aligned columns; where they do not fit, one block a row with a line a column."""
    clean = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[index]) for row in (list(heads), *clean)) for index in range(len(heads))]
    if sum(widths) + 2 * (len(widths) - 1) <= terminal_width():
        for row in (list(heads), *clean):
            yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        return
    for row in clean:
        yield row[0]
        yield from (f"  {head.lower()}: {cell}" for head, cell in zip(heads[1:], row[1:], strict=True) if cell)


def _where_first(finding: Finding) -> str:
    return f"{finding.where}: {finding.message}" if finding.where else str(finding.message)
