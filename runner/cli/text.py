"""Layout of text for people: sizes, times, tables that fit the terminal, blocks of findings."""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

from runner.errors import Finding
from runner.messages import Message, grouped, language_in_use, msg

_NARROWEST = 30
_UNWRAPPED = 1000


def terminal_width() -> int:
    """Columns of the terminal. What is not read on one (a pipe, a log) is not wrapped, unless `COLUMNS` says so."""
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return _UNWRAPPED
    return max(_NARROWEST, shutil.get_terminal_size().columns)


def size_text(size_bytes: int) -> str:
    """`1.2 MiB`, exact below one KiB; in French `1,2 Mio`."""
    is_french = language_in_use() == "fr"
    units = ("o", "Kio", "Mio", "Gio", "Tio") if is_french else ("B", "KiB", "MiB", "GiB", "TiB")
    if size_bytes < 1024:
        return f"{size_bytes} {units[0]}"
    size, unit = size_bytes / 1024, 1
    while size >= 1024 and unit < 4:
        size, unit = size / 1024, unit + 1
    return f"{number_text(size)} {units[unit]}"


def number_text(number: float) -> str:
    """One digit after the point; in French after a comma."""
    text = f"{number:.1f}"
    return text.replace(".", ",") if language_in_use() == "fr" else text


def grouped_text(number: int) -> str:
    """`2,345`; in French with a space."""
    return grouped(number, language_in_use())


def printable(text: str) -> str:
    """Control characters and half characters as escapes, so that no name can move the cursor or break a line.

    A space that breaks no line stays: French has one before `:` and in its numbers.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\u00a0" else ascii(each)[1:-1] for each in text)


def finding_lines(kind: str, finding: Finding) -> Iterator[str]:
    """What happened, where, why, and `hint:` what to do; wrapped to the terminal."""
    yield from wrapped(_headed(kind, _where_first(finding)).localized(), "  ")
    if finding.hint is not None:
        yield from wrapped(msg("  hint: {hint}", hint=finding.hint).localized(), "    ")


def _headed(kind: str, text: Message) -> Message:
    """A finding with the word for its kind; with none, as it is."""
    match kind:
        case "error":
            return msg("error: {text}", text=text)
        case "warning":
            return msg("warning: {text}", text=text)
        case "please confirm":
            return msg("please confirm: {text}", text=text)
    return text


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
        yield from (_cell_line(head, cell) for head, cell in zip(heads[1:], row[1:], strict=True) if cell)


def _cell_line(head: str, cell: str) -> str:
    return msg("  {head}: {cell}", head=head.lower(), cell=cell).localized()


def _where_first(finding: Finding) -> Message:
    if not finding.where:
        return finding.message
    return msg("{where}: {message}", where=finding.where, message=finding.message)
