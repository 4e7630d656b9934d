"""Instants as people read them: local time, to the second."""

from datetime import datetime

_FORMAT = "%Y-%m-%d %H:%M:%S"


def moment_text(moment: datetime) -> str:
    """Local time; as it stands where this system has no local time for it (an archive may claim any year)."""
    try:
        return moment.astimezone().strftime(_FORMAT)
    except (OverflowError, ValueError, OSError):
        return moment.isoformat(" ")


def noted_text(instant: str) -> str:
    """The same of an instant that was noted as ISO 8601; what is none comes back as it is."""
    try:
        return moment_text(datetime.fromisoformat(instant))
    except ValueError:
        return instant
