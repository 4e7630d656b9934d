"""Which backup.yml, and which of its profiles, belong to the Django project that is running.

Two settings may say it: `RUNNER_CONFIG`, the path of backup.yml, and `RUNNER_PROFILE`, a name. Otherwise it is the
nearest backup.yml above manage.py, and its only profile.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from runner import config
from runner.errors import UsageError
from runner.messages import msg


def manage_file() -> Path | None:
    """The manage.py that was started, if that is how this process began."""
    started = Path(sys.argv[0]).absolute() if sys.argv and sys.argv[0] else None
    return started if started is not None and started.name == "manage.py" else None


def find_root() -> config.Root:
    """The project's configuration. Raises UsageError where there is none, ConfigurationInvalid where it is wrong."""
    stated = getattr(settings, "RUNNER_CONFIG", None)
    if stated:
        return config.find_root(Path(stated), Path.cwd())
    found = next((file for folder in _folders() if (file := config.nearest(folder)) is not None), None)
    return config.find_root(found, Path.cwd())


def profile_name(root: config.Root, wanted: str | None) -> str:
    """The profile that is meant. Raises UsageError where nothing says which."""
    name = wanted or getattr(settings, "RUNNER_PROFILE", None)
    if name:
        return str(name)
    if len(root.names) == 1:
        return root.names[0]
    if not root.names:
        raise UsageError(msg("there is no profile yet"), where=str(root.folder), hint=msg("`runner init` writes one"))
    names = ", ".join(f"`{each}`" for each in root.names)
    message = msg("there are several profiles: {names}", names=names)
    hint = msg("name one with `--profile NAME`, or for good with `RUNNER_PROFILE` in the settings")
    raise UsageError(message, where=str(root.folder), hint=hint)


def _folders() -> Iterator[Path]:
    manage = manage_file()
    if manage is not None:
        yield manage.parent
    base = getattr(settings, "BASE_DIR", None)
    if base:
        yield Path(base)
    yield Path.cwd()
