"""The application that is backed up: a database and a media folder, the same at the start of every tool's turn.

Owns making it, changing it, taking it away before a restore, and telling whether what came back equals it.
"""

import hashlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.media import ADDED_FOLDER, change_media, copy_media, write_media
from benchmarks.rows import load_school
from benchmarks.school import TABLES
from benchmarks.trash import take_away
from tests.servers.postgresql import Cluster, find_installation, start_cluster

DATABASE = "school"
TEMPLATE = "school_template"
# Raised when the generator makes other files than before: what is in the cache is then made again.
GENERATION = 1
# What the tests' servers leave out for speed is put back to PostgreSQL's own defaults.
SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "jit": "on",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_wal_size": "1GB",
}

# What is compared beside the rows: a name and what it has to be.
OBJECTS = {
    "index": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "constraint": """
        SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) || convalidated FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace""",
    "sequence": "SELECT sequencename, coalesce(last_value, 0)::text FROM pg_sequences",
}

# What has to be the same after a restore, in words and in numbers; compared as a whole, shown where it differs.
Print = dict[str, str]


@contextmanager
def running_server() -> Iterator[Cluster]:
    """A PostgreSQL of this run alone, with fsync on and otherwise as it is shipped; gone at the end, whatever happens.

    Its data lie below the system's folder for temporary files (`TMPDIR`).
    """
    with start_cluster(find_installation(), options=SETTINGS) as cluster:
        yield cluster


@dataclass(frozen=True, slots=True)
class Source:
    """The live application, below `folder`; `pristine` is the media as it was made, `trash` where old files go."""

    cluster: Cluster
    folder: Path
    pristine: Path
    trash: Path

    @property
    def media(self) -> Path:
        return self.folder / "media"

    @property
    def has_database(self) -> bool:
        return True

    def reset(self) -> None:
        """The application as it was made."""
        take_away(self.folder, self.trash)
        self.folder.mkdir(parents=True)
        copy_media(self.pristine, self.media)
        self.cluster.drop_database(DATABASE)
        self.cluster.sql("postgres", f"CREATE DATABASE {DATABASE} TEMPLATE {TEMPLATE} STRATEGY file_copy")
        self._checkpoint()

    def change(self) -> None:
        """A day of work, always the same one: see `media.change_media`; some rows are new, a few are changed."""
        change_media(self.media)
        self.cluster.sql(
            DATABASE,
            "INSERT INTO audit_log (actor, action, object_type, object_id, payload, ip, at)"
            " SELECT 'bench', 'update', 'grade', n, jsonb_build_object('n', n), '10.0.0.1', '2024-09-01 08:00+00'"
            " FROM generate_series(1, 200) n;"
            "UPDATE school_grade SET value = 12.5 WHERE id % 20000 = 7;",
        )
        self._checkpoint()

    def spoil(self) -> None:
        """A bad day: rows and files are gone, but the application is there, and a restore has something to replace."""
        take_away(self.media / ADDED_FOLDER, self.trash)
        self.cluster.sql(DATABASE, "DELETE FROM school_grade WHERE id % 10 = 0")
        self._checkpoint()

    def wipe(self) -> None:
        """The day everything is gone: an empty database and an empty folder are left."""
        take_away(self.media, self.trash)
        self.media.mkdir()
        self.cluster.drop_database(DATABASE)
        self.cluster.create_database(DATABASE)
        self._checkpoint()

    def fingerprint(self) -> Print:
        """Rows of each table by number and sum of hashes, indexes, constraints, sequences, and every file's sha256."""
        with self.cluster.connect(DATABASE) as connection:
            return _database_print(connection) | _media_print(self.media)

    def _checkpoint(self) -> None:
        self.cluster.sql("postgres", "CHECKPOINT")


class MediaAlone(Source):
    """An application without a database: of the things that can be done to it, only what is below."""

    __slots__ = ()

    @property
    def has_database(self) -> bool:
        return False

    def wipe(self) -> None:
        take_away(self.media, self.trash)
        self.media.mkdir()

    def fingerprint(self) -> Print:
        return _media_print(self.media)


def make_source(cluster: Cluster, cache: Path, work: Path, scale: float) -> Source:
    """Load the template database anew, and make the media unless the cache has them."""
    cluster.drop_database(DATABASE)
    cluster.drop_database(TEMPLATE)
    with cluster.connect(cluster.create_database(TEMPLATE, encoding="UTF8"), autocommit=False) as connection:
        load_school(connection, scale)
    cluster.sql(TEMPLATE, "VACUUM ANALYZE")
    return Source(cluster, work / "app", cached_media(cache, scale), cache / "trash")


def cached_media(cache: Path, scale: float) -> Path:
    """The media folder of that scale; it appears under its name when it is whole."""
    pristine = cache / f"media-{GENERATION}-{scale:g}"
    if not pristine.exists():
        partial = pristine.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        write_media(partial, scale)
        partial.rename(pristine)
    return pristine


def differences(expected: Print, found: Print) -> list[str]:
    """The names of what is missing, of what is there too much, and of what is another."""
    return sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))


def _database_print(connection: psycopg.Connection[Any]) -> Print:
    connection.execute("SET timezone = 'UTC'")
    prints: Print = {}
    for table in TABLES:
        if connection.execute("SELECT to_regclass(%s)", (table,)).fetchone() == (None,):
            continue
        # A sum does not depend on the order of the rows, and unlike an exclusive or, it counts what is there twice.
        query = sql.SQL("SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM {} t")
        rows, hashes = connection.execute(query.format(sql.Identifier(table))).fetchone() or (0, 0)
        prints[f"table {table}"] = f"{rows} rows, {hashes}"
    for kind, query_text in OBJECTS.items():
        prints |= {f"{kind} {name}": value for name, value in connection.execute(query_text.encode())}
    return prints


def _media_print(media: Path) -> Print:
    files = sorted(path for path in media.rglob("*") if path.is_file())
    with ThreadPoolExecutor(2) as pool:
        return {
            f"file {path.relative_to(media)}": digest
            for path, digest in zip(files, pool.map(_sha256, files), strict=True)
        }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
