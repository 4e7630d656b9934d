"""`runner demo`: a sample project in a new folder. What follows is done by the commands themselves."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from runner.errors import Refused
from runner.messages import msg
from runner.workflow.sample_school import SampleSchool, count_payments, delete_payments, make_school

_BACKUP = """\
# The root of this project: commands use the nearest backup.yml, here or above.
version: 1
"""

_PROFILE = """\
# A sample school: a SQLite database and the files its users uploaded.
version: 1
description: Sample school

database:
  engine: sqlite
  path: school.sqlite3

media:
  root: media
  # Where this folder is missing the backup fails: it must not become an empty one.
  required: [payment_receipts]
  # Every file that these columns name must be in the backup, or there is none.
  references:
    - {table: finance_payment, column: receipt}
    - {table: school_student, column: photo}

archive:
  name: school_backup_{timestamp}.zip

destinations:
  - {type: local, path: backups}
"""

PROFILE_NAME = "demo"


@dataclass(frozen=True, slots=True)
class SampleProject:
    """The project that was made."""

    folder: Path
    school: SampleSchool

    @property
    def root_file(self) -> Path:
        return self.folder / "backup.yml"

    def payments(self) -> int:
        """How many payments the database holds now."""
        return count_payments(self.folder / "school.sqlite3")

    def receipts(self) -> int:
        """How many receipts lie in the media folder now."""
        return sum(1 for path in (self.folder / "media" / "payment_receipts").rglob("*") if path.is_file())

    def damage(self) -> None:
        """What a bad day does: payments deleted, a folder of receipts gone."""
        delete_payments(self.folder / "school.sqlite3", 200)
        shutil.rmtree(self.folder / "media" / "payment_receipts" / "2026" / "01")


def make_sample_project(folder: Path) -> SampleProject:
    """Write the sample school and its profile into `folder`. Raises Refused unless that is new or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(
            msg("the folder of the demonstration is not empty"),
            where=str(folder),
            hint=msg("name another one: `runner demo DIR`"),
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "profiles").mkdir()
        (folder / "backups").mkdir()
        (folder / "backup.yml").write_text(_BACKUP, "utf-8")
        (folder / "profiles" / f"{PROFILE_NAME}.yml").write_text(_PROFILE, "utf-8")
        school = make_school(folder / "school.sqlite3", folder / "media")
    except OSError as error:
        raise Refused(
            msg("the sample cannot be written: {reason}", reason=error.strerror or str(error)),
            where=str(folder),
            hint=msg("name a folder that can be written to: `runner demo DIR`"),
        ) from None
    return SampleProject(folder, school)
