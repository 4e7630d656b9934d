"""The `runner` command: global options, and subcommands that are imported when they are called."""

import importlib
import inspect
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
from runner.language import LANGUAGES, chosen, speak
from runner.messages import Message, msg, translated

COMMANDS = {
    "init": "Write a first profile for the application that is here.",
    "validate": "Check profiles: every problem, with file, line and column.",
    "schema": "Print the JSON Schema of a profile, of backup.yml or of the manifest.",
    "apply": "Make a backup: one proven zip of database and files.",
    "list": "List the archives at a profile's destinations, newest first.",
    "show": "Show what an archive holds.",
    "verify": "Re-read an archive and check every byte against its manifest.",
    "restore": "Put an archive back, whole or not at all.",
    "recover": "Finish or take back a restore that was interrupted.",
    "undo": "Take the last restore back.",
    "status": "Say of every profile how old its last backup is, and when the next one is due.",
    "schedule": "Install, remove or show the timer of a profile.",
    "run-due": "Make the backups that are due by their schedules.",
    "doctor": "Look at all that a backup and a restore will need, and say what is wrong.",
    "notify": "Send a test to everybody whom a profile tells how its backups end.",
    "completion": "Print the script that completes commands and names in a shell.",
    "demo": "Make a small sample school and back it up.",
}


class _NoSuchCommand(click.UsageError):
    """People are told in their language, programs in English."""

    def __init__(self, said: Message, context: click.Context) -> None:
        super().__init__(said.localized(), context)
        self.said = said


class _LazyGroup(click.Group):
    """Subcommands by name, each in the module of its name; a command costs nothing until it is called."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = importlib.import_module(f"runner.cli.{name.replace('-', '_')}_command").command
        assert isinstance(command, click.Command)  # noqa: S101 - every module of the table has one
        return _translated(command)

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands for `--help`, without importing any of them."""
        with formatter.section(translated("Commands")):
            formatter.write_dl([(name, translated(help_text)) for name, help_text in COMMANDS.items()])

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As in click, with a suggestion for a mistyped command."""
        name = arguments[0] if arguments else ""
        if name not in COMMANDS and not name.startswith("-"):
            import difflib

            close = difflib.get_close_matches(name, COMMANDS, 1)
            said = msg("No such command '{name}'.", name=name)
            if close:
                said = msg("No such command '{name}'. Did you mean '{close}'?", name=name, close=close[0])
            raise _NoSuchCommand(said, context)
        return super().resolve_command(context, arguments)


def _translated(command: click.Command) -> click.Command:
    """The command with its help, and that of its options, in the language of whoever reads."""
    command.help = None if command.help is None else translated(inspect.cleandoc(command.help))
    command.epilog = None if command.epilog is None else translated(command.epilog)
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.help:
            parameter.help = translated(parameter.help)
    if isinstance(command, click.Group) and not isinstance(command, _LazyGroup):
        for below in command.commands.values():
            _translated(below)
    return command


def _language_said() -> str | None:
    """What `--lang` says, before anything is parsed: even wrong usage is told in that language."""
    said: list[str] = []
    for word, following in itertools.pairwise([*sys.argv[1:], ""]):
        if word == "--lang":
            said.append(following)
        elif word.startswith("--lang="):
            said.append(word.removeprefix("--lang="))
    return next((language for language in said if language in LANGUAGES), None)


@click.group(
    cls=_LazyGroup,
    invoke_without_command=True,
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
@click.option(
    "--lang",
    type=click.Choice(LANGUAGES),
    expose_value=False,
    help="The language of texts. Default: RUNNER_LANG, otherwise that of the system.",
)
@click.option("--no-color", is_flag=True, help="No colours and no progress bars.")
@click.pass_context
def cli(context: click.Context, /, config: Path | None, **flags: bool) -> None:
    """Back up an application that is a database plus a folder of uploads, as its YAML profile declares.

    \b
    Examples:
      runner init                       write a profile for the application that is here
      runner demo                       a sample school, backed up in a new folder
      runner validate                   check every profile
      runner apply school --dry-run     what a backup would do
      runner apply school               make one
    """
    context.obj = Settings(config=config, **flags)
    if context.invoked_subcommand is None:
        from runner.cli.overview import overview_outcome
        from runner.cli.run import run

        run(lambda: overview_outcome(context.obj), "text")


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
    speak("en" if _wants_json() else _language_said() or chosen(os.environ))
    _translated(cli)
    try:
        cli.main(prog_name="runner", standalone_mode=False, terminal_width=_narrow_width())
        code = 0
    except click.exceptions.Exit as done:
        code = done.exit_code
    except click.Abort:
        code = ExitCode.INTERRUPTED
    except click.ClickException as error:
        code = ExitCode.USAGE
        _show_misuse(_where_it_belongs(error))
    except BrokenPipeError:
        # Whoever reads our output has seen enough; nothing more is to be written, by the interpreter's exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.BUG
    raise SystemExit(int(code))


def _narrow_width() -> int | None:
    """The width of help on a narrow terminal; None leaves it to click, which takes 50 columns for granted."""
    columns = shutil.get_terminal_size().columns
    return max(columns - 1, 30) if columns < 52 else None


def _where_it_belongs(error: click.ClickException) -> click.ClickException:
    """For an option of `runner` itself that was written after a command's name; any other error as it is."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None or error.ctx.command is cli:
        return error
    if error.option_name not in {name for parameter in cli.params for name in parameter.opts}:
        return error
    said = msg("`{option}` stands before the command: `runner {option} …`", option=error.option_name)
    return click.UsageError(said.localized(), error.ctx)


def _wants_json() -> bool:
    """Whether a program reads the output: then all of it is English."""
    return any(
        argument == "--format=json" or pair == ("--format", "json")
        for argument, pair in zip(sys.argv[1:], itertools.pairwise([*sys.argv[1:], ""]), strict=True)
    )


def _show_misuse(error: click.ClickException) -> None:
    """Wrong usage: on stderr for people, as the one JSON object for programs that asked for JSON."""
    if not _wants_json():
        error.show()
        return
    from runner.cli.run import Outcome, print_json
    from runner.errors import Finding, UsageError

    said = error.said if isinstance(error, _NoSuchCommand) else msg("{reason}", reason=error.format_message())
    finding = Finding(UsageError.code, said)
    print_json(Outcome(errors=(finding,)), ExitCode.USAGE)
