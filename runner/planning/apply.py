"""What `runner apply` will do, step by step."""

from collections.abc import Iterator
from datetime import datetime

from runner.errors import Refused
from runner.messages import msg
from runner.model.plan import Action, Plan, Step
from runner.model.profile import PostgresqlConfig, Profile, SqliteConfig, Variant
from runner.planning.hooks import hook_steps

TIMESTAMP_FIELD = "{timestamp}"


def plan_apply(profile: Profile, variant: Variant | None, now: datetime) -> Plan:
    """`now` is aware, local time. None: everything that the profile has. Raises Refused for a half it has not."""
    chosen = profile.natural_variant if variant is None else variant
    if not profile.serves(chosen):
        raise Refused(
            msg(
                "the profile `{profile}` has no {part}, so it cannot make a `{variant}` backup",
                profile=profile.name,
                part="database" if profile.database is None else "media",
                variant=chosen.value,
            ),
            where=str(profile.source),
            hint=msg("use `--variant {variant}`", variant=profile.natural_variant.value),
        )
    name = profile.archive.name.replace(TIMESTAMP_FIELD, now.strftime("%Y%m%d_%H%M%S"))
    return Plan(profile, chosen, now, name, tuple(_steps(profile, chosen, name)))


def database_label(profile: Profile) -> str:
    """The database as plans and reports name it: no user, no password."""
    match profile.database:
        case PostgresqlConfig(name=name, host=host, port=port):
            return f"postgresql {name}" if host is None else f"postgresql {name} on {host}:{port or 5432}"
        case SqliteConfig(path=path):
            return f"sqlite {path}"
        case None:
            return ""


def _steps(profile: Profile, variant: Variant, name: str) -> Iterator[Step]:
    database = database_label(profile) if variant.has_database else ""
    media = profile.media if variant.has_media else None
    root = () if media is None else (str(media.root),)
    work = str(profile.state / profile.name / "work")
    yield Step(
        Action.LOCK,
        msg("take the lock of `{profile}` and clean up after interrupted runs", profile=profile.name),
        writes=(str(profile.state / profile.name / "lock"),),
    )
    yield from hook_steps("before_apply", profile.hooks.before_apply)
    yield Step(
        Action.CHECK,
        msg("check that everything the backup needs is there"),
        reads=(*root, *(str(destination) for destination in profile.destinations)),
    )
    if database:
        yield Step(Action.SNAPSHOT, msg("take a snapshot of the database"), reads=(database,))
    if database and media is not None and media.references:
        columns = ", ".join(str(reference) for reference in media.references)
        yield Step(
            Action.REFERENCES,
            msg("check that every file named in {columns} is there", columns=columns),
            reads=(database, *root),
        )
    if database:
        yield Step(Action.DUMP, msg("dump the database, table by table"), reads=(database,), writes=(work,))
    if media is not None:
        yield Step(Action.MEDIA, msg("add the media files, each with its checksum"), reads=root, writes=(work,))
    yield Step(
        Action.SEAL,
        msg("write the inventory, RESTORE.txt and the manifest, and flush `{name}` to the disk", name=name),
        writes=(work,),
    )
    if profile.archive.verify:
        yield Step(Action.VERIFY, msg("read the archive again and compare every byte"), reads=(work,))
    for destination in profile.destinations:
        yield Step(
            Action.PUT,
            msg("put the archive into {destination}", destination=str(destination)),
            reads=(work,),
            writes=(str(destination.path / name),),
        )
    yield from hook_steps("after_apply", profile.hooks.after_apply)
    yield from hook_steps("on_error, only if the backup fails", profile.hooks.on_error)
