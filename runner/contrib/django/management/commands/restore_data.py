"""`manage.py restore_data`."""

from argparse import ArgumentParser
from typing import Any

from runner.cli.archives import list_outcome
from runner.cli.restoring import RestoreOptions, restore_outcome
from runner.cli.run import Outcome
from runner.cli.settings import Settings
from runner.contrib.django.command import RunnerCommand, folder_of_tools, variant_of
from runner.workflow.choosing import LATEST


class Command(RunnerCommand):
    """As `runner restore`, and `runner list` with `--list`."""

    help = "Put a backup back, database and files together, whole or not at all. Without FILE: the newest one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", nargs="?", default=LATEST, metavar="FILE", help="A name, a path or a pattern.")
        parser.add_argument("--list", action="store_true", help="List the backups that there are.")
        parser.add_argument("--force", "--yes", action="store_true", help="Do not ask.")
        parser.add_argument("--psql", metavar="PATH", help="The folder of PostgreSQL's programs, or psql itself.")
        parser.add_argument("--trust-sql", action="store_true", help="Run an old backup's SQL as superuser.")
        parser.add_argument("--accept-damage", action="store_true", help="Restore what is left of a damaged backup.")
        parser.add_argument("--no-safety-copy", action="store_true", help="Keep nothing of what is replaced.")

    def work(self, settings: Settings, profile: str, options: dict[str, Any]) -> Outcome:
        if options["list"]:
            return list_outcome(settings, profile)
        wishes = RestoreOptions(
            variant=variant_of(options),
            at=None,
            yes=options["force"],
            dry_run=options["dry_run"],
            accept_damage=options["accept_damage"],
            no_safety_copy=options["no_safety_copy"],
            trust_sql=options["trust_sql"],
            tools=folder_of_tools(options["psql"]),
        )
        return restore_outcome(settings, profile, options["file"], wishes)
