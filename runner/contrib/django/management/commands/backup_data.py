"""`manage.py backup_data`."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from runner.cli.apply import Request, apply_outcome
from runner.cli.run import Outcome
from runner.cli.settings import Settings
from runner.contrib.django.command import RunnerCommand, variant_of


class Command(RunnerCommand):
    """As `runner apply`."""

    help = "Back the database and the uploaded files up: one zip, verified before it gets its name."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dest", metavar="DIR", type=Path, help="Put the archive there, and nowhere else.")

    def work(self, settings: Settings, profile: str, options: dict[str, Any]) -> Outcome:
        request = Request(profile, variant_of(options), options["dest"], options["dry_run"])
        return apply_outcome(settings, request)
