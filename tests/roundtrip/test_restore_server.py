"""The PostgreSQL server is stopped, or dies, at every stage of a restore: one state, whole, after `recover`."""

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import pytest

from runner.databases.base import Offer
from runner.databases.postgresql.choice import open_restoration
from runner.errors import ExitCode, Interrupted, RecoveryNeeded, RunnerError, exit_code_of
from runner.events import Event, StageEnded, StageStarted
from runner.messages import msg
from runner.model.marks import PostgresqlMarks, RunNames
from runner.model.plan import Action
from runner.model.profile import PostgresqlConfig
from tests.inside import profile_of, restore_here
from tests.projects import manifest_of, postgresql_project
from tests.restores import assert_whole_after_recovery, fresh_postgresql_scene
from tests.servers.postgresql import Cluster

STAGES = [
    (StageStarted, Action.STAGE_DATABASE),
    (StageEnded, Action.STAGE_DATABASE),
    (StageStarted, Action.COMPARE),
    (StageStarted, Action.SWAP),
    (StageEnded, Action.SWAP),
    (StageStarted, Action.KEEP),
    (StageEnded, Action.KEEP),
]


@pytest.mark.parametrize("end", ["stop", "crash"])
@pytest.mark.parametrize(("moment", "stage"), STAGES, ids=[f"{kind.__name__}-{stage}" for kind, stage in STAGES])
def test_the_server_goes_away(
    cluster: Cluster, tmp_path: Path, moment: type, stage: Action, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fresh_postgresql_scene(tmp_path, cluster) as scene:
        monkeypatch.setenv("COLUMNS", os.environ.get("COLUMNS", "200"))
        struck: list[Event] = []

        def strike(event: Event, /) -> None:
            if not struck and isinstance(event, moment) and getattr(event, "action", None) is stage:
                struck.append(event)
                if end == "crash":
                    cluster.crash()
                else:
                    cluster.stop()

        code, told = ExitCode.DONE, ""
        try:
            report = restore_here(scene.project, strike)
            told = " ".join(str(finding) for finding in report.warnings)
        except RunnerError as error:
            code = exit_code_of(error)
            told = " ".join(str(finding) for finding in error.findings)
        cluster.start()
        assert struck
        assert code in (ExitCode.DONE, ExitCode.STEP, ExitCode.RECOVERY), told
        waits = scene.is_interrupted()
        assert waits is (code is ExitCode.RECOVERY), told
        if code is ExitCode.STEP:
            assert scene.live() == scene.old, told
        outcome = assert_whole_after_recovery(scene, f"{moment.__name__} {stage}", told)
        if code is ExitCode.DONE:
            assert outcome == "new"


@pytest.mark.parametrize("way", ["swap", "in-place"])
def test_recovery_on_another_server_is_refused(
    cluster: Cluster, tmp_path: Path, way: Literal["swap", "in-place"]
) -> None:
    config = profile_of(postgresql_project(tmp_path / "project", cluster, "postgres")).database
    assert isinstance(config, PostgresqlConfig)
    ((number,),) = cluster.sql("postgres", "SELECT system_identifier::text FROM pg_control_system()")
    for server, expected in ((number, nullcontext()), ("1", pytest.raises(RecoveryNeeded, match="another server"))):
        marks = PostgresqlMarks(
            way=way, name=config.name, staged_name="staged", replaced_name="replaced", server=str(server)
        )
        with expected, open_restoration(config, None, RunNames("20260108_110353-0123abcd"), marks, tmp_path):
            pass


@pytest.mark.parametrize("tools", ["preflight_offer.restoring_tools", "in_place.find_tools"])
def test_an_interruption_of_the_preflight_is_no_finding(
    cluster: Cluster, tmp_path: Path, tools: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise Interrupted(msg("interrupted"))

    with fresh_postgresql_scene(tmp_path, cluster) as scene:
        config = profile_of(scene.project).database
        assert isinstance(config, PostgresqlConfig)
        names = RunNames("20260108_110353-0123abcd")
        way: Literal["swap", "in-place"] = "swap" if tools.startswith("preflight") else "in-place"
        marks = PostgresqlMarks(way=way, name=config.name, staged_name="staged", replaced_name="replaced")
        monkeypatch.setattr(f"runner.databases.postgresql.{tools}", interrupt)
        record = manifest_of(scene.project.archives()[0]).database
        with open_restoration(config, None, names, marks, tmp_path) as restoration, pytest.raises(Interrupted):
            restoration.preflight(Offer("folder", record, trusted=True))
