"""Instants as people read and write them: local time, to the second."""

from contextlib import suppress
from datetime import UTC, date, datetime, time

from runner.errors import UsageError
from runner.messages import language_in_use, msg, printable

_FORMATS = {"en": "%Y-%m-%d %H:%M:%S", "fr": "%d/%m/%Y %H:%M:%S"}


def moment_text(moment: datetime) -> str:
    """Local time; as it stands where this system has no local time for it (an archive may claim any year)."""
    try:
        return moment.astimezone().strftime(_FORMATS[language_in_use()])
    except (OverflowError, ValueError, OSError):
        return moment.isoformat(" ")


def noted_text(instant: str) -> str:
    """The same of an instant that was noted as ISO 8601; what is none comes back as it is."""
    try:
        return moment_text(datetime.fromisoformat(instant))
    except ValueError:
        return instant


def parse_moment(text: str) -> datetime:
    """The instant that a person means by `--at`: local time unless it has an offset, and a date alone its last moment.

    Where the local clock shows a time twice, or never, the earlier reading counts: what is asked for is the state
    before a mistake. Raises UsageError.
    """
    words = text.strip()
    try:
        with suppress(ValueError):
            return max(_readings(datetime.combine(date.fromisoformat(words), time.max)))
        moment = datetime.fromisoformat(words)
        return moment if moment.utcoffset() is not None else min(_readings(moment))
    except (ValueError, OverflowError, OSError):  # Windows knows no local time before 1970
        raise UsageError(
            msg("`{text}` is not a time", text=printable(text)),
            hint=msg(
                "write local time as `2026-01-08 09:00`, a whole day as `2026-01-08`, "
                "and the time of another place as `2026-01-08T09:00+01:00`"
            ),
        ) from None


def _readings(local: datetime) -> tuple[datetime, datetime]:
    """What a local time may mean; the same twice on all but two days of a year."""
    return local.replace(fold=0).astimezone(UTC).astimezone(), local.replace(fold=1).astimezone(UTC).astimezone()
