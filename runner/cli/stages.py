"""How far each stage of the work is, in numbers and in words. What is not known is not shown: no total is invented."""

import threading
from collections import deque
from dataclasses import dataclass, field

from runner.cli.text import grouped_text, number_text, size_text
from runner.events import Unit
from runner.messages import counted, msg

_WINDOW_SECONDS = 10.0
_SAMPLES = 128
_SHORTEST_RATE_SECONDS = 0.5
_WORTH_TELLING_SECONDS = 1.0
_LONGEST_LEFT_SECONDS = 99 * 3600


@dataclass(slots=True)
class Stage:
    """One stage since `started`, a time of the display's clock in seconds. `total` None: nobody knows it.

    `add` may be called by several threads, thousands of times a second: it counts and does nothing else. The rate is
    that of the last seconds, by what `look` saw, which the display calls each time it draws.
    """

    title: str
    total: int | None
    unit: Unit
    started: float
    done: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _seen: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_SAMPLES))

    def add(self, amount: int) -> None:
        with self._lock:
            self.done += amount

    def look(self, now: float) -> None:
        """Remember how far it is now."""
        while len(self._seen) > 1 and now - self._seen[1][0] >= _WINDOW_SECONDS:
            self._seen.popleft()
        self._seen.append((now, self.done))

    @property
    def known_total(self) -> int | None:
        """The total, as long as it is one: what grew meanwhile has none."""
        return self.total if self.total and self.done <= self.total else None

    def rate(self, now: float) -> float | None:
        """Units a second, lately; None before there is anything to tell it from."""
        since, before = self._seen[0] if self._seen else (self.started, 0)
        if not self.done or now - since < _SHORTEST_RATE_SECONDS:
            since, before = self.started, 0
        passed = now - since
        return (self.done - before) / passed if self.done and passed >= _SHORTEST_RATE_SECONDS else None

    def percent_text(self) -> str:
        total = self.known_total
        return "" if total is None else msg("{percent}%", percent=100 * self.done // total).localized()

    def amount_text(self) -> str:
        """`312.0 MiB of 1.8 GiB`, or what is done alone."""
        total = self.known_total
        if total is None:
            return amount_text(self.done, self.unit) if self.done else ""
        done = size_text(self.done) if self.unit == "bytes" else grouped_text(self.done)
        return msg("{done} of {total}", done=done, total=amount_text(total, self.unit)).localized()

    def rate_text(self, now: float) -> str:
        rate = self.rate(now)
        return "" if rate is None else _rate_text(rate, self.unit)

    def left_text(self, now: float) -> str:
        """The time that is left at this rate, `1:05`; empty where total or rate are not known."""
        total, rate = self.known_total, self.rate(now)
        if total is None or not rate or (seconds := (total - self.done) / rate) > _LONGEST_LEFT_SECONDS:
            return ""
        minutes, second = divmod(round(seconds), 60)
        hours, minute = divmod(minutes, 60)
        return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"

    def end_text(self, now: float) -> str | None:
        """What a log says when the stage is over; None when it was too short to be worth a line."""
        seconds = now - self.started
        if seconds < _WORTH_TELLING_SECONDS:
            return None
        time = duration_text(seconds)
        if not self.done:
            return msg("{title}: {time}", title=self.title, time=time).localized()
        line = msg(
            "{title}: {amount} in {time} ({rate})",
            title=self.title,
            amount=amount_text(self.done, self.unit),
            time=time,
            rate=_rate_text(self.done / seconds, self.unit),
        )
        return line.localized()


def amount_text(amount: int, unit: Unit) -> str:
    """`1.8 GiB`, `2,345 files`."""
    if unit == "bytes":
        return size_text(amount)
    if unit == "files":
        return counted("{count} files", "{count} files", amount).localized()
    return counted("{count} rows", "{count} rows", amount).localized()


def duration_text(seconds: float) -> str:
    """`6.2 s`, `42 s`, `2 min 5 s`, `1 h 2 min`."""
    if seconds < 9.95:
        return msg("{seconds} s", seconds=number_text(seconds)).localized()
    whole = round(seconds)
    if whole < 60:
        return msg("{seconds} s", seconds=whole).localized()
    if whole < 3600:
        return msg("{minutes} min {seconds} s", minutes=whole // 60, seconds=whole % 60).localized()
    minutes = round(seconds / 60)
    return msg("{hours} h {minutes} min", hours=minutes // 60, minutes=minutes % 60).localized()


def _rate_text(rate: float, unit: Unit) -> str:
    return msg("{amount}/s", amount=amount_text(round(rate), unit)).localized()
