"""What `runner restore` and `runner undo` will do, step by step."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.errors import Refused
from runner.messages import Message, msg
from runner.model.marks import RunNames
from runner.model.plan import Action, RestorePlan, Step
from runner.model.profile import PostgresqlConfig, Profile, SqliteConfig, Variant
from runner.planning.apply import database_label


@dataclass(frozen=True, slots=True)
class RestoreWish:
    """What a person asked for. `variant` None: all that both the source and the profile have."""

    command: str
    source: str | Message
    variant: Variant | None = None
    safety_copy: bool = True
    compared: bool = True
    """Whether the source says what the database must hold."""


def plan_restore(profile: Profile, offered: Variant, wish: RestoreWish, names: RunNames) -> RestorePlan:
    """`offered` is what the source holds. Raises Refused for a variant that is not allowed or cannot be served."""
    chosen = _natural(profile, offered) if wish.variant is None else wish.variant
    possible = [
        variant for variant in profile.restore.variants if _within(variant, offered) and profile.serves(variant)
    ]
    if chosen not in possible:
        raise _refused(profile, offered, chosen, possible, wish)
    database, media = _kept(profile, chosen, names) if wish.safety_copy else (None, None)
    steps = tuple(_steps(profile, chosen, wish, names))
    return RestorePlan(profile, wish.command, chosen, names, wish.source, steps, wish.safety_copy, database, media)


def _natural(profile: Profile, offered: Variant) -> Variant:
    """Everything that both have; what the source alone or the profile alone has decides where they share nothing."""
    has_database = offered.has_database and profile.database is not None
    has_media = offered.has_media and profile.media is not None
    if has_database and has_media:
        return Variant.FULL
    return Variant.DB_ONLY if has_database else Variant.MEDIA_ONLY if has_media else offered


def _within(variant: Variant, offered: Variant) -> bool:
    return (offered.has_database or not variant.has_database) and (offered.has_media or not variant.has_media)


def _refused(
    profile: Profile, offered: Variant, chosen: Variant, possible: list[Variant], wish: RestoreWish
) -> Refused:
    where = str(profile.source)
    if chosen not in profile.restore.variants and wish.variant is None and wish.command == "restore":
        message = msg(
            "this archive holds a `{offered}` backup, and the profile `{profile}` does not allow a `{variant}` restore",
            offered=offered.value,
            profile=profile.name,
            variant=chosen.value,
        )
        where = str(wish.source)
    elif not profile.serves(chosen):
        message = msg(
            "the profile `{profile}` has no {part}, so a `{variant}` restore has no target",
            profile=profile.name,
            part="database" if profile.database is None else "media",
            variant=chosen.value,
        )
    elif chosen not in profile.restore.variants:
        message = msg(
            "the profile `{profile}` does not allow a `{variant}` restore", profile=profile.name, variant=chosen.value
        )
    else:
        message = msg(
            "what is to be restored holds a `{offered}` backup, which cannot serve a `{variant}` restore",
            offered=offered.value,
            variant=chosen.value,
        )
        where = str(wish.source)
    return Refused(message, where=where, hint=_way_out(profile, chosen, possible, wish))


def _way_out(profile: Profile, chosen: Variant, possible: list[Variant], wish: RestoreWish) -> Message:
    if wish.command == "undo" and not profile.serves(chosen):
        return msg("put that part back into the profile as it was")
    if wish.command == "undo":
        return msg("add `{variant}` to `restore.variants` in the profile", variant=chosen.value)
    if possible:
        options = ", ".join(f"`--variant {variant.value}`" for variant in possible)
        return msg("allowed and possible here: {options}", options=options)
    return msg("choose another archive, or extend `restore.variants` in the profile")


def _kept(profile: Profile, variant: Variant, names: RunNames) -> tuple[Path | None, Path | None]:
    """Where the safety copies go. The names begin as users of the old scripts know them; the run's id keeps apart what
    profiles that share the folder replace in one second.
    """
    folder = profile.restore.safety_copy.path
    database: Path | None = None
    match profile.database:
        case PostgresqlConfig() if profile.restore.safety_copy.database == "dump":
            database = folder / f"db_pre_restore_{names.run_id}"
        case SqliteConfig():
            database = folder / f"db_pre_restore_{names.run_id}.sqlite3"
        case _:
            pass
    return (
        database if variant.has_database else None,
        folder / f"media_pre_restore_{names.run_id}" if variant.has_media else None,
    )


def _steps(profile: Profile, variant: Variant, wish: RestoreWish, names: RunNames) -> Iterator[Step]:
    database = database_label(profile) if variant.has_database else ""
    root = str(profile.media.root) if variant.has_media and profile.media is not None else ""
    live = tuple(filter(None, (database, root)))
    work = str(profile.state / profile.name / "work")
    yield Step(
        Action.LOCK,
        msg("take the lock of `{profile}` and clean up after interrupted runs", profile=profile.name),
        writes=(str(profile.state / profile.name / "lock"),),
    )
    if wish.command == "restore":
        yield Step(Action.VERIFY, msg("read the archive and compare every byte"), reads=(str(wish.source),))
    yield Step(Action.PREFLIGHT, msg("check everything that could stand in the way, and change nothing"), reads=live)
    yield Step(Action.CONFIRM, msg("show what will be replaced, and ask"))
    yield from _staging(profile, database, root, wish, names, work)
    if profile.hooks.before_restore:
        yield Step(Action.BEFORE_RESTORE, msg("run the `before_restore` hooks"))
    yield Step(Action.SWAP, msg("put both halves in the place of the live ones, whole or not at all"), writes=live)
    if profile.hooks.after_restore:
        yield Step(Action.AFTER_RESTORE, msg("run the `after_restore` hooks"))
    yield from _keeping(profile, variant, wish, names)
    if _partial_references(profile, variant):
        yield Step(Action.REFERENCES_AFTER, msg("check that every file that the database names is there"))


_STAGED_DATABASE = msg("load the database beside the live one, which stays in use")
_STAGED_MEDIA = msg("unpack the media beside the live root, each file against its checksum")
_KEPT_DATABASE = msg("bring the database that was kept beside the live one, which stays in use")
_KEPT_MEDIA = msg("move the media that were kept beside the live root")


def _staging(
    profile: Profile, database: str, root: str, wish: RestoreWish, names: RunNames, work: str
) -> Iterator[Step]:
    if database:
        beside = names.staged_database
        if isinstance(profile.database, SqliteConfig):
            beside = str(names.staged(profile.database.path))
        yield Step(
            Action.STAGE_DATABASE,
            _STAGED_DATABASE if wish.command == "restore" else _KEPT_DATABASE,
            reads=(str(wish.source),),
            writes=(beside, work) if isinstance(profile.database, PostgresqlConfig) else (beside,),
        )
    if root:
        yield Step(
            Action.STAGE_MEDIA,
            _STAGED_MEDIA if wish.command == "restore" else _KEPT_MEDIA,
            reads=(str(wish.source),),
            writes=(str(names.staged(Path(root))),),
        )
    if database and wish.compared:
        yield Step(
            Action.COMPARE, msg("compare rows, sequences and large objects with what they must be"), reads=(database,)
        )


def _keeping(profile: Profile, variant: Variant, wish: RestoreWish, names: RunNames) -> Iterator[Step]:
    if not wish.safety_copy:
        yield Step(Action.KEEP, msg("remove what was replaced: no safety copy is wanted"))
        return
    database, media = _kept(profile, variant, names)
    on_server = variant.has_database and database is None
    places = [str(place) for place in (database, media) if place is not None]
    if on_server:
        places.append(names.replaced_database)
    yield Step(Action.KEEP, msg("keep what was replaced as a safety copy, and prove it"), writes=tuple(places))


def _partial_references(profile: Profile, variant: Variant) -> bool:
    return variant is not Variant.FULL and profile.media is not None and bool(profile.media.references)
