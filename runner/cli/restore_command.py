"""`runner restore`."""

import click

from runner.cli.completing import archive_names, profile_names
from runner.cli.run import Outcome, format_option, run
from runner.cli.settings import Settings

_VARIANTS = ("full", "db-only", "media-only")


@click.command("restore")
@click.argument("profile", shell_complete=profile_names)
@click.argument("archive", default="latest", required=False, shell_complete=archive_names)
@click.option("--variant", type=click.Choice(_VARIANTS), help="Default: everything that archive and profile have.")
@click.option("--at", metavar="TIME", help="The newest archive made at or before that time, as 2026-01-08 09:00.")
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@click.option("--dry-run", is_flag=True, help="Verify, check and print the plan; change nothing.")
@click.option("--accept-damage", is_flag=True, help="Restore what is left of a damaged archive, and list what is lost.")
@click.option("--no-safety-copy", is_flag=True, help="Keep nothing of the state that is replaced: there is no undo.")
@click.option("--trust-sql", is_flag=True, help="Run an archive's SQL as superuser though it was not made here.")
@format_option
@click.pass_obj
def command(settings: Settings, /, profile: str, archive: str, **options: object) -> None:
    """Put an archive back, database and files together, whole or not at all: ARCHIVE is a name, a path, a pattern
    such as 'school_backup_*.zip' (its newest match), or `latest`.

    It is verified, loaded beside the live state, compared, and then swapped in. What it replaces is kept as a safety
    copy: `runner undo` takes the restore back.

    \b
    Examples:
      runner restore school --dry-run
      runner restore school
      runner restore school --at "2026-01-08 09:00"
      runner restore school ./school_backup_20260108_110353.zip --variant media-only --yes

    Exit codes: 0 done, 2 no such profile or archive, 3 done with warnings, 10 invalid configuration, 11 another run
    holds the lock, 12 a destination cannot be read, 13 the archive is damaged or hostile, 14 a step failed (nothing was
    changed, unless it says that the restored state is in), 15 refused or not confirmed, 16 interrupted in its swap:
    `runner recover`, 130 interrupted, everything put back.
    """

    def work() -> Outcome:
        from runner.cli.restoring import RestoreOptions, restore_outcome

        return restore_outcome(settings, profile, archive, RestoreOptions.of(options))

    run(work, str(options["output_format"]))
