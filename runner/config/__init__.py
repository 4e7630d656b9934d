"""From files to profiles: read with positions, checked against the schema and the rules, built.

    file -> `Document` -> every `Problem`, or a `Profile`

`find_root` finds the project, `check` finds every problem of its profiles, `load` gives one profile to work with.
Neither reads the environment of the process: it is an argument.
"""

from runner.config.apps import Follow
from runner.config.check import Checked, all_names, check, load
from runner.config.path_rules import destination_conflict
from runner.config.reading import Told
from runner.config.root import BACKUP_FILE, PROFILES_FOLDER, Root, find_root, is_profile_name, nearest
from runner.config.schemas import SchemaKind, schema_text
from runner.config.variables import escaped

__all__ = [
    "BACKUP_FILE",
    "PROFILES_FOLDER",
    "Checked",
    "Follow",
    "Root",
    "SchemaKind",
    "Told",
    "all_names",
    "check",
    "destination_conflict",
    "escaped",
    "find_root",
    "is_profile_name",
    "load",
    "nearest",
    "schema_text",
]
