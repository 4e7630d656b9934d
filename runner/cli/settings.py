"""The global options, as every command gets them."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """What was asked for before the command's name."""

    config: Path | None = None
    verbose: bool = False
    quiet: bool = False
    no_color: bool = False

    @property
    def shows_bars(self) -> bool:
        """Progress bars go to a terminal only, and never where colours are unwanted."""
        plain = self.no_color or self.quiet or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
        return sys.stderr.isatty() and not plain
