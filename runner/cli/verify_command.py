"""`runner verify`."""

import click

from runner.cli.completing import archive_names, profile_names
from runner.cli.run import Outcome, format_option, run
from runner.cli.settings import Settings


@click.command("verify")
@click.argument("profile", metavar="PROFILE|FILE", shell_complete=profile_names)
@click.argument("archive", default="latest", required=False, shell_complete=archive_names)
@format_option
@click.pass_obj
def command(settings: Settings, profile: str, archive: str, output_format: str) -> None:
    """Re-read an archive and check every byte against its manifest: ARCHIVE is a name, a path, a pattern
    (the newest match), or `latest`.

    \b
    Examples:
      runner verify school
      runner verify school school_backup_20260108_110353.zip
      runner verify /mnt/usb/school_backup_20260108_110353.zip

    Exit codes: 0 every byte is as it was written, 2 no such profile or archive, 3 done with warnings (an archive of
    the old scripts holds no checksums, a destination could not be asked), 10 invalid configuration, 12 it cannot be
    read, 13 damaged (every place is listed with --format json).
    """

    def work() -> Outcome:
        from runner.cli.archives import verify_outcome

        return verify_outcome(settings, (profile, archive))

    run(work, output_format)
