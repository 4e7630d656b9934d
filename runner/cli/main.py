"""The `runner` command: global options, and subcommands that are imported when they are called."""

import importlib
import itertools
import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import click

from runner import __version__
from runner.cli.settings import Settings
from runner.errors import ExitCode

_COMMANDS = {
    "validate": "Check profiles: every problem, with file, line and column.",
    "schema": "Print the JSON Schema of a profile, of backup.yml or of the manifest.",
    "apply": "Make a backup: one proven zip of database and files.",
    "list": "List the archives at a profile's destinations, newest first.",
    "show": "Show what an archive holds.",
    "verify": "Re-read an archive and check every byte against its manifest.",
    "restore": "Put an archive back, whole or not at all.",
    "recover": "Finish or take back a restore that was interrupted.",
    "undo": "Take the last restore back.",
    "demo": "Make a small sample school and back it up.",
}


class _LazyGroup(click.Group):
    """Subcommands by name, each in the module of its name; a command costs nothing until it is called."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command = importlib.import_module(f"runner.cli.{name}_command").command
        assert isinstance(command, click.Command)  # noqa: S101 - every module of the table has one
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands for `--help`, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As in click, with a suggestion for a mistyped command."""
        name = arguments[0] if arguments else ""
        if name not in _COMMANDS and not name.startswith("-"):
            import difflib

            close = difflib.get_close_matches(name, _COMMANDS, 1)
            context.fail(f"No such command '{name}'." + (f" Did you mean '{close[0]}'?" if close else ""))
        return super().resolve_command(context, arguments)


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 a bug, 2 wrong usage, 3 done with warnings, 10 configuration, 11 locked, "
    "12 destination, 13 integrity, 14 a step failed, 15 refused, 16 an interrupted restore waits, 130 interrupted.",
)
@click.version_option(__version__, "--version", prog_name="runner")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The root configuration. Default: the nearest backup.yml, here or above.",
)
@click.option("-v", "--verbose", is_flag=True, help="Tell more: every step, and what was cleaned up.")
@click.option("-q", "--quiet", is_flag=True, help="Tell only the result, warnings and errors.")
@click.option("--no-color", is_flag=True, help="No colours and no progress bars.")
@click.pass_context
def cli(context: click.Context, /, config: Path | None, **flags: bool) -> None:
    """Back up an application that is a database plus a folder of uploads, as its YAML profile declares.

    \b
    Examples:
      runner demo                       a sample school, backed up in a new folder
      runner validate                   check every profile
      runner apply school --dry-run     what a backup would do
      runner apply school               make one
    """
    context.obj = Settings(config=config, **flags)


def main() -> NoReturn:
    """Run the command line and exit; the console script and `python -m runner` both come here."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed before we came (`>&-`); a file of ours must not take its number
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        # A console in cp1252 or ASCII shows what it can and escapes the rest; it never fails on a name.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    try:
        cli.main(prog_name="runner", standalone_mode=False, terminal_width=_narrow_width())
        code = 0
    except click.exceptions.Exit as done:
        code = done.exit_code
    except click.Abort:
        code = ExitCode.INTERRUPTED
    except click.ClickException as error:
        code = ExitCode.USAGE
        _show_misuse(error)
    except BrokenPipeError:
        # Whoever reads our output has seen enough; nothing more is to be written, by the interpreter's exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.BUG
    raise SystemExit(int(code))


def _narrow_width() -> int | None:
    """The width of help on a narrow terminal; None leaves it to click, which takes 50 columns for granted."""
    columns = shutil.get_terminal_size().columns
    return max(columns - 1, 30) if columns < 52 else None


def _show_misuse(error: click.ClickException) -> None:
    """Wrong usage: on stderr for people, as the one JSON object for programs that asked for JSON."""
    wants_json = any(
        argument == "--format=json" or pair == ("--format", "json")
        for argument, pair in zip(sys.argv[1:], itertools.pairwise([*sys.argv[1:], ""]), strict=True)
    )
    if not wants_json:
        error.show()
        return
    from runner.cli.run import Outcome, print_json
    from runner.errors import Finding, UsageError
    from runner.messages import msg

    finding = Finding(UsageError.code, msg("{reason}", reason=error.format_message()))
    print_json(Outcome(errors=(finding,)), ExitCode.USAGE)
