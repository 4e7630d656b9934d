"""`runner apply`."""

from pathlib import Path

import click

from runner.cli.completing import profile_names
from runner.cli.run import Outcome, format_option, run
from runner.cli.settings import Settings
from runner.messages import msg

_VARIANTS = ("full", "db-only", "media-only")


@click.command("apply")
@click.argument("profile", required=False, shell_complete=profile_names)
@click.option(
    "--variant",
    type=click.Choice(_VARIANTS),
    metavar="VARIANT",
    help="full, db-only or media-only. Default: everything that the profile has.",
)
@click.option(
    "--dest", type=click.Path(path_type=Path), metavar="DIR", help="Put the archive there, and nowhere else, this once."
)
@click.option(
    "--all", "every", is_flag=True, help="Every profile, one after the other; exits with the first failing code."
)
@click.option("--dry-run", is_flag=True, help="Print the plan; touch nothing, connect to nothing, read no secret.")
@format_option
@click.pass_obj
def command(  # noqa: PLR0913, PLR0917 - one parameter an option
    settings: Settings,
    profile: str | None,
    variant: str | None,
    dest: Path | None,
    every: bool,  # noqa: FBT001 - click passes options by name
    dry_run: bool,  # noqa: FBT001 - likewise
    output_format: str,
) -> None:
    """Make a backup of PROFILE: one zip with the database, the files and a manifest, verified before it gets its name.

    \b
    Examples:
      runner apply school
      runner apply school --dry-run
      runner apply school --variant db-only --dest /mnt/usb
      runner apply --all --format json

    Exit codes: 0 done, 3 done with warnings, 10 invalid configuration, 11 another run holds the lock, 12 a
    destination failed, 13 a file that the database names is missing or the archive does not read back, 14 a step
    failed, 15 refused, 130 interrupted.
    """
    if (profile is None) != every:
        raise click.UsageError(msg("name one PROFILE, or say --all").localized())

    def work() -> Outcome:
        from runner.cli.apply import Request, apply_outcome

        return apply_outcome(settings, Request(profile, variant, dest, dry_run))

    run(work, output_format)
