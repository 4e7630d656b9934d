"""PostgreSQL's own addresses: `postgresql://USER:PASSWORD@HOST:PORT/NAME?sslmode=require`."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from psycopg import conninfo

from runner.errors import UsageError
from runner.messages import msg
from runner.model.profile import PostgresqlConfig

_SCHEMES: Final = ("postgresql", "postgres")
_PAIR: Final = re.compile(r"\s*[a-z_]+\s*=")
_UNDERSTOOD: Final = frozenset({"dbname", "host", "password", "port", "sslmode", "sslrootcert", "user"})


@dataclass(frozen=True, slots=True)
class Address:
    """What an address says. `config.password` is always None: whether there was one is all that is kept of it."""

    config: PostgresqlConfig
    has_password: bool


def as_address(text: str) -> str | None:
    """What libpq can read, of what a person or a web framework writes; None for what is a file.

    Raises UsageError for the address of another kind of database. Addresses are never repeated.
    """
    scheme, is_address, rest = text.partition("://")
    kind = scheme.lower().partition("+")[0]
    if not is_address:
        return text if _PAIR.match(text) and not os.path.exists(text) else None  # noqa: PTH110 - never raises
    if kind == "sqlite":
        return None
    if kind not in _SCHEMES:
        hint = msg("say `postgresql://…`, or a file of SQLite")
        raise UsageError(msg("runner backs up PostgreSQL and SQLite, not `{kind}`", kind=kind), hint=hint)
    return f"postgresql://{rest}"


def read_address(text: str) -> Address:
    """Read an address as libpq does. Raises UsageError, which never repeats the address: it may hold a password."""
    try:
        parts = {name: str(value) for name, value in conninfo.conninfo_to_dict(text).items() if value is not None}
    except psycopg.Error:
        hint = msg("write it as `postgresql://USER@HOST:PORT/NAME`, with `%40` for `@` and `%2F` for `/` in its parts")
        raise UsageError(msg("the address of the database cannot be read"), hint=hint) from None
    port = parts.get("port")
    if unknown := sorted(set(parts) - _UNDERSTOOD):
        names = ", ".join(f"`{name}`" for name in unknown)
        hint = msg("leave it out; what libpq reads from its environment (`PGSERVICE`, `PGOPTIONS`, …) still works")
        raise UsageError(msg("a profile cannot say this part of the address: {names}", names=names), hint=hint)
    if "dbname" not in parts:
        hint = msg("write it at the end: `postgresql://USER@HOST/NAME`")
        raise UsageError(msg("the address names no database"), hint=hint)
    if "," in parts.get("host", "") or (port is not None and not port.isdecimal()):
        message = msg("the address names several servers, and a backup is of one")
        raise UsageError(message, hint=msg("name the one to back up"))
    config = PostgresqlConfig(
        name=parts["dbname"],
        host=parts.get("host"),
        port=None if port is None else int(port),
        user=parts.get("user"),
        sslmode=parts.get("sslmode"),
        sslrootcert=Path(parts["sslrootcert"]) if "sslrootcert" in parts else None,
    )
    return Address(config, "password" in parts)
