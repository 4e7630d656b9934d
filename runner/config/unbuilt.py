"""The parts of a profile that the schema describes and this version of runner cannot do yet.

They are refused by name: a profile that asks for encryption and gets none is worse than one that is refused.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from runner.config.place import KeyPath, dotted
from runner.config.reading import Candidate
from runner.messages import msg
from runner.model.problem import Problem

NOT_BUILT: Final = "configuration.not-built"

UNBUILT: Final[tuple[KeyPath, ...]] = (
    ("archive", "encryption"),
    ("retention",),
    ("schedule", "drill"),
    ("alert", "shrunk_by"),
)

UNBUILT_DESTINATIONS: Final = frozenset({"s3", "azure", "gcs", "sftp"})


def refuse_unbuilt(candidate: Candidate) -> Iterator[Problem]:
    """One problem for each part that is not built yet, all with the code `configuration.not-built`."""
    for path in UNBUILT:
        if candidate.profile.has(*path):
            message = msg("`{part}` is not built yet", part=dotted(path))
            hint = msg("remove it: nothing that a profile asks for is left out in silence")
            yield replace(candidate.document.problem(path, message, hint=hint, of_key=True), code=NOT_BUILT)
    for index in candidate.profile.items("destinations"):
        path = ("destinations", index, "type")
        if (kind := candidate.profile.text(*path)) in UNBUILT_DESTINATIONS:
            message = msg("destinations of type `{kind}` are not built yet", kind=kind)
            hint = msg("use `type: local`; a folder that another program synchronises will do")
            yield replace(candidate.document.problem(path, message, hint=hint), code=NOT_BUILT)
