"""What a preflight asks about, and the shape of what it finds."""

from collections.abc import Sequence
from dataclasses import dataclass

from runner.databases.base import Offer
from runner.databases.postgresql.blueprint import Existing
from runner.databases.postgresql.maintenance import Connection, Rights
from runner.errors import Finding
from runner.messages import Message, msg
from runner.model.manifest import PostgresqlRecord
from runner.model.profile import PostgresqlConfig

NAMED = 10

ADMIN = msg("name a role that may do it in `restore.admin`, or let a superuser make this one able to")


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be restored where, by whom. `actor` changes databases, `loader` fills the new one."""

    connection: Connection
    config: PostgresqlConfig
    actor: Rights
    loader: Rights
    live: Existing | None
    owner: str
    offer: Offer

    @property
    def record(self) -> PostgresqlRecord | None:
        return self.offer.record if isinstance(self.offer.record, PostgresqlRecord) else None

    @property
    def server(self) -> int:
        return self.connection.info.server_version // 10_000


def names(connection: Connection, query: str, *values: object) -> list[str]:
    """The first column of the answer. Raises psycopg.Error."""
    return [str(name) for (name,) in connection.execute(query.encode(), values).fetchall()]


def some(names: Sequence[str]) -> str:
    """As many as a person reads."""
    return ", ".join(names[:NAMED]) + (f", … ({len(names)})" if len(names) > NAMED else "")


def refusal(message: Message, hint: Message, where: str | None = None) -> Finding:
    """What stops the restore, and the way out."""
    return Finding("refused", message, where, hint)


def warning(kind: str, message: Message, hint: Message | None) -> Finding:
    """What a person should know before confirming."""
    return Finding(f"restore.{kind}", message, None, hint)
