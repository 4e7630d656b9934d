"""A plan is data: the right steps in the right order, every place named, no secret and no side effect."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from runner.errors import ExitCode, Refused, exit_code_of
from runner.model.plan import Action, Plan
from runner.model.profile import (
    ArchiveConfig,
    LocalDestination,
    MediaConfig,
    PostgresqlConfig,
    Profile,
    Reference,
    RestoreConfig,
    SafetyCopyConfig,
    SqliteConfig,
    Variant,
)
from runner.model.secret import EnvironmentSecret
from runner.planning import plan_apply

NOW = datetime(2026, 1, 8, 11, 3, 53, tzinfo=timezone(timedelta(hours=1)))
POSTGRESQL = PostgresqlConfig(
    "school_db", host="db", user="school", password=EnvironmentSecret("SCHOOL_DB_PASSWORD"), port=5433
)
MEDIA = MediaConfig(Path("/srv/media"), references=(Reference("finance_payment", "receipt"),))
BACKUP = [Action.LOCK, Action.CHECK, Action.SNAPSHOT, Action.REFERENCES, Action.DUMP, Action.MEDIA]
END = [Action.SEAL, Action.VERIFY, Action.PUT]

PROFILE = Profile(
    name="school",
    source=Path("/etc/profiles/school.yml"),
    instance="lycée",
    state=Path("/state"),
    archive=ArchiveConfig("school_{timestamp}.zip"),
    destinations=(LocalDestination(Path("/out")),),
    restore=RestoreConfig((Variant.FULL,), SafetyCopyConfig(Path("/safety"))),
    database=POSTGRESQL,
    media=MEDIA,
)


def actions(plan: Plan) -> list[Action]:
    return [step.action for step in plan.steps]


def places(plan: Plan) -> str:
    return "\n".join(f"{step.title} | {step.reads} | {step.writes}" for step in plan.steps)


def test_a_full_backup_takes_every_step_in_order() -> None:
    plan = plan_apply(PROFILE, None, NOW)
    assert plan.variant is Variant.FULL
    assert actions(plan) == BACKUP + END


def test_the_clock_is_read_once_and_names_everything() -> None:
    plan = plan_apply(PROFILE, None, NOW)
    assert plan.archive_name == "school_20260108_110353.zip"
    assert plan.timestamp == "20260108_110353"
    assert str(Path("/out/school_20260108_110353.zip")) in plan.steps[-1].writes


@pytest.mark.parametrize(
    ("variant", "left_out"),
    [
        (Variant.DB_ONLY, {Action.REFERENCES, Action.MEDIA}),
        (Variant.MEDIA_ONLY, {Action.SNAPSHOT, Action.REFERENCES, Action.DUMP}),
    ],
)
def test_half_a_backup_leaves_out_the_steps_of_the_other_half(variant: Variant, left_out: set[Action]) -> None:
    plan = plan_apply(PROFILE, variant, NOW)
    assert actions(plan) == [action for action in BACKUP + END if action not in left_out]
    assert ("school_db" in places(plan)) is variant.has_database
    assert (str(MEDIA.root) in places(plan)) is variant.has_media


def test_the_variant_follows_from_what_the_profile_has() -> None:
    assert plan_apply(replace(PROFILE, media=None), None, NOW).variant is Variant.DB_ONLY
    assert plan_apply(replace(PROFILE, database=None), None, NOW).variant is Variant.MEDIA_ONLY


@pytest.mark.parametrize(
    ("profile", "variant", "missing"),
    [
        (replace(PROFILE, media=None), Variant.FULL, "media"),
        (replace(PROFILE, media=None), Variant.MEDIA_ONLY, "media"),
        (replace(PROFILE, database=None), Variant.FULL, "database"),
        (replace(PROFILE, database=None), Variant.DB_ONLY, "database"),
    ],
)
def test_a_half_that_the_profile_has_not_is_refused(profile: Profile, variant: Variant, missing: str) -> None:
    with pytest.raises(Refused, match=f"no {missing}") as caught:
        plan_apply(profile, variant, NOW)
    assert profile.natural_variant.value in str(caught.value.hint)
    assert exit_code_of(caught.value) is ExitCode.REFUSED


def test_without_references_or_verification_there_is_no_step_for_them() -> None:
    bare = replace(
        PROFILE, media=replace(MEDIA, references=()), archive=ArchiveConfig("a_{timestamp}.zip", verify=False)
    )
    assert set(BACKUP + END) - set(actions(plan_apply(bare, None, NOW))) == {Action.REFERENCES, Action.VERIFY}


def test_every_destination_is_a_step() -> None:
    both = replace(PROFILE, destinations=(LocalDestination(Path("/one")), LocalDestination(Path("/two"))))
    puts = [step for step in plan_apply(both, None, NOW).steps if step.action is Action.PUT]
    assert [Path(step.writes[0]).parent for step in puts] == [Path("/one"), Path("/two")]


def test_the_plan_names_every_place_and_no_secret() -> None:
    text = places(plan_apply(PROFILE, None, NOW))
    for place in ("postgresql school_db on db:5433", str(MEDIA.root), str(Path("/out")), "finance_payment.receipt"):
        assert place in text
    assert "SCHOOL_DB_PASSWORD" not in text


@pytest.mark.parametrize(
    ("database", "label"),
    [
        (PostgresqlConfig("db"), "postgresql db"),
        (PostgresqlConfig("db", host="h"), "postgresql db on h:5432"),
        (SqliteConfig(Path("school.sqlite3")), "sqlite school.sqlite3"),
    ],
)
def test_databases_by_name(database: PostgresqlConfig | SqliteConfig, label: str) -> None:
    assert label in places(plan_apply(replace(PROFILE, database=database), None, NOW))
