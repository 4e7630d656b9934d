"""The PostgreSQL server is stopped, or dies, at every stage of a restore: one state, whole, after `recover`."""

import os
from pathlib import Path

import pytest

from runner.errors import ExitCode, RunnerError, exit_code_of
from runner.events import Event, StageEnded, StageStarted
from runner.model.plan import Action
from tests.inside import restore_here
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
