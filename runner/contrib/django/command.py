"""What both commands share: from Django's options to runner's, and from an outcome to Django's streams."""

import os
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from runner.cli.run import Outcome, carried_out, code_of
from runner.cli.settings import Settings
from runner.cli.text import finding_lines
from runner.contrib.django.project import find_root, profile_name
from runner.errors import ExitCode
from runner.language import chosen, speaking

_HALVES = {"only_db": "db-only", "only_media": "media-only"}


class RunnerCommand(BaseCommand):
    """A command that does a part of runner's work for the profile of this project.

    It ends with runner's exit codes: 3 where all is done with warnings. Called by `call_command` it raises CommandError
    for what failed, with the code as its `returncode`.
    """

    requires_system_checks: ClassVar[list[str]] = []  # a database that is broken must be restorable
    requires_migrations_checks = False
    _exit_code = ExitCode.DONE

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options that both have."""
        parser.add_argument("--profile", metavar="NAME", help="The profile. Default: RUNNER_PROFILE, or the only one.")
        halves = parser.add_mutually_exclusive_group()
        halves.add_argument("--only-db", action="store_true", help="The database alone.")
        halves.add_argument("--only-media", action="store_true", help="The uploaded files alone.")
        parser.add_argument("--dry-run", action="store_true", help="Print the plan, change nothing.")

    def run_from_argv(self, argv: list[str]) -> None:
        """As Django does, at the time of the machine, and with the exit code of a run with warnings."""
        _return_to_own_time_zone()
        super().run_from_argv(argv)
        if self._exit_code is not ExitCode.DONE:
            sys.exit(int(self._exit_code))

    def handle(self, *_arguments: Any, **options: Any) -> None:
        """Close Django's own connections, which would hold the database, then do the work."""
        connections.close_all()
        with speaking(chosen(os.environ)):
            self._show(carried_out(lambda: self._located(options)))

    def _show(self, outcome: Outcome) -> None:
        for line in outcome.lines:
            self.stdout.write(line)
        if outcome.tells_warnings:
            for warning in outcome.warnings:
                self.stderr.write("\n".join(finding_lines("warning", warning)), self.style.WARNING)
        self._exit_code = code_of(outcome)
        if outcome.errors or self._exit_code not in {ExitCode.DONE, ExitCode.WARNINGS}:
            told = [line for error in outcome.errors for line in finding_lines("", error)]
            raise CommandError("\n".join(told), returncode=int(self._exit_code))

    def work(self, settings: Settings, profile: str, options: dict[str, Any]) -> Outcome:
        """What the command does. Raises RunnerError."""
        raise NotImplementedError

    def _located(self, options: dict[str, Any]) -> Outcome:
        root = find_root()
        settings = Settings(
            config=root.file,
            verbose=options["verbosity"] > 1,
            quiet=options["verbosity"] < 1,
            no_color=options["no_color"],
        )
        return self.work(settings, profile_name(root, options["profile"]), options)


def _return_to_own_time_zone() -> None:
    """Django has set this process to `TIME_ZONE`; archives are named by the machine's local time, whoever makes them.

    What `TZ` was when the process began is known on Linux; elsewhere it is taken for unset.
    """
    if not hasattr(time, "tzset"):
        return
    try:
        began_with = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        began_with = []
    own = next((entry[3:] for entry in began_with if entry.startswith(b"TZ=")), None)
    os.environ.pop("TZ", None)
    if own is not None:
        os.environ["TZ"] = os.fsdecode(own)
    time.tzset()


def variant_of(options: dict[str, Any]) -> str | None:
    """`--only-db` and `--only-media` as runner calls them; None for everything."""
    return next((variant for option, variant in _HALVES.items() if options[option]), None)


def folder_of_tools(path: str | None) -> Path | None:
    """The folder that `--psql` means: itself, or the one of the program that it names."""
    if path is None:
        return None
    named = Path(path).absolute()
    return named if named.is_dir() else named.parent
