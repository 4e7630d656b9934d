"""Compares a restored database with what the manifest says of it.

Names in a manifest are data that anybody may have written: they are taken apart here and looked up among the names that
the server lists, and only the server's own names are ever put, quoted, into a query.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from psycopg import sql
from psycopg.rows import class_row

from runner.databases.postgresql.catalog import Connection
from runner.errors import Finding
from runner.messages import msg
from runner.model.manifest import LargeObjectsRecord, PostgresqlRecord, SequenceRecord

_T = TypeVar("_T")

Name = tuple[str, str]
"""Schema and name, without quotes."""

_PART = r'(?:"((?:[^"\x00]|"")+)"|([a-z_][a-z0-9_]*))'
_QUALIFIED = re.compile(rf"{_PART}\.{_PART}")
_BATCH = 50

# A table in which a row may come back elsewhere than it was: pg_dump loads hash partitions of enums through their root,
# because an enum's hash is another one in every database. `moves_within` is that root.
_RELATIONS = """
SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
       c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                       AND d.objid = c.oid AND d.deptype = 'e') AS ordinary,
       (SELECT pg_catalog.pg_partition_root(c.oid)::pg_catalog.oid
        WHERE c.relispartition AND EXISTS (
            SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) a
            JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.relid WHERE p.partstrat = 'h')) AS moves_within
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'S')
"""

# By the objects' own ends and not by the sum of their pages: a hole has a size and no page.
_LARGE_OBJECTS = """
SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(opened.size), 0)
FROM (SELECT pg_catalog.lo_lseek64(fd, 0, 2) AS size, pg_catalog.lo_close(fd) AS closed
      FROM (SELECT pg_catalog.lo_open(oid, 262144) AS fd FROM pg_catalog.pg_largeobject_metadata OFFSET 0) AS every
      OFFSET 0) AS opened
"""


# Row security must fail a query and never leave out rows in silence; names and operators are the server's own.
_SESSION = {"client_encoding": "UTF8", "row_security": "off", "search_path": "pg_catalog"}


@dataclass(frozen=True, slots=True)
class _Relation:
    oid: int
    schema: str
    name: str
    kind: str
    ordinary: bool
    moves_within: int | None

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class _Counted:
    """A table, the rows that it must have, and those that it has."""

    name: str
    relation: _Relation
    expected: int
    found: int


def differences(
    connection: Connection, record: PostgresqlRecord, skip: frozenset[str] = frozenset()
) -> tuple[Finding, ...]:
    """What differs between the connected database and `record`; nothing when all that it tells of is there.

    Compared are the rows of every table (one that was left out of the dump has none), the positions of the sequences,
    the number and the bytes of the large objects, and that there is no table more and none less. Tables whose data
    member is in `skip` only have to exist. Works inside a transaction, too; every table is read once. The session's
    settings may be those that a dump left; afterwards they are this comparison's.
    Raises psycopg.Error.
    """
    for setting, value in _SESSION.items():
        connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", [setting, value])
    with connection.cursor(row_factory=class_row(_Relation)) as cursor:
        relations = {(each.schema, each.name): each for each in cursor.execute(_RELATIONS).fetchall()}
    tables = {name: each for name, each in relations.items() if each.kind == "r"}
    sequences = {name: each for name, each in relations.items() if each.kind == "S"}
    return (
        *_compare_tables(connection, record, tables, skip),
        *_compare_sequences(connection, record.sequences, sequences),
        *_compare_large_objects(connection, record.large_objects),
    )


def parse_name(text: str) -> Name | None:
    """The parts of a qualified name as SQL writes it, `public."Some Table"`; None when it is no such name."""
    match = _QUALIFIED.fullmatch(text)
    if match is None:
        return None
    schema, name = (
        bare if quoted is None else quoted.replace('""', '"')
        for quoted, bare in ((match[1], match[2]), (match[3], match[4]))
    )
    return schema, name


def _compare_tables(
    connection: Connection, record: PostgresqlRecord, tables: dict[Name, _Relation], skip: frozenset[str]
) -> Iterator[Finding]:
    wanted: list[tuple[str, _Relation, int | None]] = []
    named: set[int] = set()
    for table in record.tables:
        relation = _find(tables, table.name)
        if relation is None:
            yield Finding("database.table-missing", msg("the table `{table}` is not there", table=table.name))
            continue
        named.add(relation.oid)
        wanted.append((table.name, relation, None if table.member in skip else table.rows or 0))
    for relation in sorted(tables.values(), key=lambda each: (each.schema, each.name)):
        if relation.ordinary and relation.oid not in named:
            name = relation.identifier.as_string(None)
            yield Finding("database.table-surplus", msg("the table `{table}` is not in the backup", table=name))
    found = _count_rows(connection, [relation for _, relation, _ in wanted])
    counted = [
        _Counted(name, relation, -1 if expected is None else expected, found[relation.oid])
        for name, relation, expected in wanted
    ]
    for each in _unequal(counted):
        yield Finding(
            "database.rows",
            msg(
                "the table `{table}` has {found} rows instead of {expected}",
                table=each.name,
                found=each.found,
                expected=each.expected,
            ),
        )


def _unequal(counted: Sequence[_Counted]) -> list[_Counted]:
    """Tables with other rows than expected (-1: anything goes); partitions that exchanged rows count together."""
    expected: dict[int | None, int] = defaultdict(int)
    found: dict[int | None, int] = defaultdict(int)
    for each in counted:
        expected[each.relation.moves_within] += max(each.expected, 0)
        found[each.relation.moves_within] += each.found
    return [
        each
        for each in counted
        if each.expected not in (-1, each.found)
        and (
            each.relation.moves_within is None
            or expected[each.relation.moves_within] != found[each.relation.moves_within]
        )
    ]


def _count_rows(connection: Connection, relations: Sequence[_Relation]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for batch in _batches(relations):
        each = sql.SQL("(SELECT pg_catalog.count(*) FROM ONLY {})")
        query = sql.SQL("SELECT {}").format(sql.SQL(", ").join(each.format(table.identifier) for table in batch))
        (row,) = connection.execute(query).fetchall()
        counts.update((table.oid, int(str(rows))) for table, rows in zip(batch, row, strict=True))
    return counts


def _compare_sequences(
    connection: Connection, records: Sequence[SequenceRecord], sequences: dict[Name, _Relation]
) -> Iterator[Finding]:
    wanted: list[tuple[SequenceRecord, _Relation]] = []
    for record in records:
        relation = _find(sequences, record.name)
        if relation is None:
            yield Finding("database.sequence-missing", msg("the sequence `{name}` is not there", name=record.name))
        else:
            wanted.append((record, relation))
    for batch in _batches(wanted):
        each = sql.SQL("SELECT {number} AS number, last_value, is_called FROM {sequence}")
        parts = (each.format(number=number, sequence=found.identifier) for number, (_, found) in enumerate(batch))
        query = sql.SQL(" UNION ALL ").join(parts) + sql.SQL(" ORDER BY number")
        for (record, _), (_, last_value, is_called) in zip(batch, connection.execute(query).fetchall(), strict=True):
            if (last_value, is_called) != (record.last_value, record.is_called):
                yield Finding(
                    "database.sequence",
                    msg(
                        "the sequence `{name}` stands at {found} instead of {expected}",
                        name=record.name,
                        found=_position(last_value, called=bool(is_called)),
                        expected=_position(record.last_value, called=record.is_called),
                    ),
                )


def _compare_large_objects(connection: Connection, record: LargeObjectsRecord) -> Iterator[Finding]:
    ((count, size),) = connection.execute(_LARGE_OBJECTS).fetchall()
    if (int(str(count)), int(str(size))) != (record.count, record.size):
        yield Finding(
            "database.large-objects",
            msg(
                "there are {found} large objects of {found_size} bytes instead of {expected} of {expected_size} bytes",
                found=count,
                found_size=size,
                expected=record.count,
                expected_size=record.size,
            ),
        )


def _find(relations: dict[Name, _Relation], text: str) -> _Relation | None:
    name = parse_name(text)
    return None if name is None else relations.get(name)


def _position(last_value: object, *, called: bool) -> str:
    return str(last_value) if called else f"{last_value} (not called)"


def _batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
