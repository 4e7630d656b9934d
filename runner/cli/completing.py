"""What a shell offers when Tab is pressed: names of profiles and of archives. What fails offers nothing."""

from contextlib import suppress
from typing import Any

import click
from click.shell_completion import CompletionItem

from runner.cli.settings import Settings
from runner.errors import RunnerError


def profile_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The profiles of the nearest backup.yml, or of the one that `-c` names."""
    from runner.cli.profiles import find_root

    with suppress(RunnerError, OSError):
        return [CompletionItem(name) for name in find_root(_settings(context)).names if name.startswith(incomplete)]
    return []


def archive_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The archives at the destinations of the profile that stands before, newest names first."""
    from runner.cli.profiles import load_profile
    from runner.workflow.places import open_destination

    profile: Any = context.params.get("profile")
    if not isinstance(profile, str):
        return []
    with suppress(RunnerError, OSError):
        known = load_profile(_settings(context), profile, need_variables=False, ask=False)
        found = {stored.name for config in known.destinations for stored in open_destination(config).list()}
        names = ["latest", *sorted(found, reverse=True)]
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return []


def _settings(context: click.Context) -> Settings:
    """Completion runs no command, so the group has made none: its options are there all the same."""
    return Settings(config=context.find_root().params.get("config"))
