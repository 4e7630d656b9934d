"""`runner show`."""

import click

from runner.cli.completing import archive_names, profile_names
from runner.cli.run import Outcome, format_option, run
from runner.cli.settings import Settings


@click.command("show")
@click.argument("profile", metavar="PROFILE|FILE", shell_complete=profile_names)
@click.argument("archive", default="latest", required=False, shell_complete=archive_names)
@click.option("--files", is_flag=True, help="Every file, folder and link, with size and time.")
@click.option("--match", "pattern", metavar="GLOB", help="Only what matches, as in `media.exclude`; implies --files.")
@format_option
@click.pass_obj
def command(
    settings: Settings,
    profile: str,
    archive: str,
    files: bool,  # noqa: FBT001 - click passes options by name
    pattern: str | None,
    output_format: str,
) -> None:
    """Show what an archive holds: ARCHIVE is a name, a path, a pattern
    (the newest match), or `latest`.

    The manifest and the inventory are checked against their checksums; `runner verify` checks the rest.

    \b
    Examples:
      runner show school
      runner show school school_backup_20260108_110353.zip --files
      runner show school 'school_backup_202601*'
      runner show school --match 'payment_receipts/**'
      runner show ./school_backup_20260108_110353.zip --format json

    Exit codes: 0 done, 2 no such profile or archive, 3 done with warnings (an archive without checksums, a
    destination that could not be asked), 10 invalid configuration, 12 it cannot be read, 13 it is damaged.
    """

    def work() -> Outcome:
        from runner.cli.contents import show_outcome

        lists = files or pattern is not None
        return show_outcome(settings, (profile, archive), files=lists, pattern=pattern, output_format=output_format)

    run(work, output_format)
