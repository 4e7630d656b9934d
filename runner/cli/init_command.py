"""`runner init`."""

from pathlib import Path

import click

from runner.cli.run import Outcome, format_option, run
from runner.cli.settings import Settings

_PATH = click.Path(path_type=Path)


@click.command("init")
@click.argument("folder", default=".", type=_PATH, metavar="[DIR]")
@click.option("--name", metavar="NAME", help="What the profile is called. Default: as the folder.")
@click.option(
    "--dest", type=_PATH, metavar="DIR", help="Where the archives go. Default: OneDrive, otherwise `backups`."
)
@click.option("--database", metavar="URL|FILE", help="postgresql://USER@HOST/NAME, or a file of SQLite.")
@click.option("--media", type=_PATH, metavar="DIR", help="The folder of the uploads, where no settings say it.")
@click.option("--no-media", is_flag=True, help="Back the database up alone.")
@click.option("--manage", type=_PATH, metavar="FILE", help="The manage.py of the Django project.")
@click.option("--settings", "settings_module", metavar="MODULE", help="Its settings, where manage.py names others.")
@click.option("--python", type=_PATH, metavar="FILE", help="The Python that runs it, where it is not found.")
@click.option("--alias", metavar="NAME", help="Which entry of `DATABASES`, where there are several.")
@click.option("--powershell", is_flag=True, help="Write backup_data.ps1 and restore_data_latest.ps1, too.")
@click.option("--yes", is_flag=True, help="Ask nothing: take what was found, and the defaults.")
@format_option
@click.pass_obj
def command(settings: Settings, /, output_format: str, **wishes: object) -> None:
    """Write the first profile for the application in DIR (by default, here): backup.yml, profiles/NAME.yml, .gitignore.

    Looks for a Django project, whose own settings then say what to back up, and for a database of SQLite. Asks a few
    questions on a terminal, writes no password, and shows the plan of a first backup. Nothing that is there is
    overwritten.

    \b
    Examples:
      runner init
      runner init --yes
      runner init --settings config.settings.production --dest D:/Backups
      runner init --database postgresql://school@localhost/school_db --media media
      runner init --powershell          (where there is a profile already: the scripts alone)

    Exit codes: 0 done, 2 wrong usage, 3 done with warnings, 10 the new profile has problems, 14 the settings cannot be
    read, 15 refused.
    """

    def work() -> Outcome:
        from runner.cli.beginning import Wishes, init_outcome

        return init_outcome(settings, Wishes.of(wishes))

    run(work, output_format)
