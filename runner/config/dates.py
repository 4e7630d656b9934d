"""Schedules and ages, as a profile writes them."""

from datetime import timedelta
from typing import Final

from runner.config.reading import Reading
from runner.model.profile import Schedule

KINDS: Final = ("hourly", "daily", "weekly", "cron")

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def schedule_of(read: Reading) -> Schedule | None:
    """What `schedule` says; a profile that passed its schema and the rules says one thing."""
    if (minute := read.number("schedule", "hourly")) is not None:
        return Schedule(f"{minute} * * * *", minute)
    if (time := read.text("schedule", "daily")) is not None:
        hour, minute = _time(time)
        return Schedule(f"{minute} {hour} * * *", minute)
    if (moment := read.text("schedule", "weekly")) is not None:
        day, _, time = moment.partition(" ")
        hour, minute = _time(time)
        return Schedule(f"{minute} {hour} * * {day}", minute)
    fields = read.text("schedule", "cron")
    return None if fields is None else Schedule(fields)


def age_of(text: str | None) -> timedelta | None:
    """`36h`, `7d`."""
    return None if text is None else timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def _time(text: str) -> tuple[int, int]:
    hour, _, minute = text.partition(":")
    return int(hour), int(minute)
