"""The times that a schedule means, in the machine's local time. Pure.

They are what cron takes them for, the Debian way. A backup that is due in the hour that the clocks skip in spring is
found due once that hour is over.
"""

from datetime import datetime

from cronsim import CronSim, CronSimError

from runner.model.profile import Schedule


def cron_fault(text: str) -> str | None:
    """What is wrong with five fields of cron, in cronsim's words; None if nothing is."""
    try:
        next(CronSim(text, datetime(2024, 1, 1)))  # noqa: DTZ001 - any time will do
    except CronSimError as error:
        return str(error)
    except StopIteration:
        return "no such day in the next fifty years"
    return None


def previous(schedule: Schedule, now: datetime) -> datetime:
    """The last time, at or before `now` (aware), that a backup was due."""
    local = now.astimezone().replace(tzinfo=None)
    at_the_minute = local.replace(second=59, microsecond=0)  # the search begins before what it is given
    return next(CronSim(schedule.cron, at_the_minute, reverse=True)).astimezone()


def following(schedule: Schedule, now: datetime) -> datetime:
    """The first time after `now` (aware) that a backup will be due."""
    times = CronSim(schedule.cron, now.astimezone().replace(tzinfo=None))
    return next(instant for time in times if (instant := time.astimezone()) > now)
