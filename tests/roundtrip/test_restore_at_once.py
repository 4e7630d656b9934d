"""Database and media are staged at the same time: one that fails ends the other soon, and nothing is left behind."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.databases.base import DumpFolder, DumpScript
from runner.errors import Interrupted, StepFailed
from runner.events import Event, StageAdvanced, StageEnded, StageStarted
from runner.lanes import Stopped
from runner.messages import msg
from runner.model.plan import Action
from tests.inside import restore_here
from tests.restores import PostgresqlScene, fresh_postgresql_scene
from tests.roundtrip.schools import SCHOOL, Make, schools
from tests.servers.postgresql import Cluster

# Anywhere but in the live database it takes two minutes.
SLOW = """
CREATE FUNCTION slow(number integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF current_database() LIKE 'runner%' THEN PERFORM pg_sleep(120); END IF;
  RETURN number;
END $$;
CREATE TABLE sleepy (id integer);
INSERT INTO sleepy VALUES (1);
CREATE INDEX sleeps ON sleepy (public.slow(id));
"""
SOON_SECONDS = 60


@pytest.fixture
def scene(cluster: Cluster, tmp_path: Path) -> Iterator[PostgresqlScene]:
    with fresh_postgresql_scene(tmp_path, cluster, statements=SLOW) as made:
        yield made


@pytest.fixture
def make(cluster: Cluster, tmp_path: Path) -> Iterator[Make]:
    with schools(cluster, tmp_path) as made:
        yield made


def sleeping(cluster: Cluster) -> bool:
    return bool(cluster.sql("postgres", "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))


def wait_for_sleep(cluster: Cluster) -> None:
    deadline = time.monotonic() + SOON_SECONDS
    while not sleeping(cluster) and time.monotonic() < deadline:
        time.sleep(0.05)


def assert_nothing_happened(scene: PostgresqlScene, began: float) -> None:
    assert time.monotonic() - began < SOON_SECONDS
    assert not sleeping(scene.cluster)
    assert scene.live() == scene.old
    assert scene.leftovers() == []


def test_media_that_fail_end_the_load(scene: PostgresqlScene) -> None:
    def strike(event: Event, /) -> None:
        if isinstance(event, StageEnded) and event.action is Action.STAGE_MEDIA:
            raise StepFailed(msg("the disk is gone"))

    began = time.monotonic()
    with pytest.raises(StepFailed, match="the disk is gone"):
        restore_here(scene.project, strike)
    assert_nothing_happened(scene, began)


def test_a_load_that_fails_ends_the_media(cluster: Cluster, tmp_path: Path) -> None:
    with fresh_postgresql_scene(tmp_path, cluster) as scene:
        compared = threading.Event()

        def strike(event: Event, /) -> None:
            if isinstance(event, StageEnded) and event.action is Action.COMPARE:
                raise StepFailed(msg("the server is gone"))
            if isinstance(event, StageStarted) and event.action is Action.COMPARE:
                compared.set()

        began = time.monotonic()
        with pytest.raises(StepFailed, match="the server is gone"):
            restore_here(scene.project, strike)
        assert compared.is_set()
        assert_nothing_happened(scene, began)


def test_with_one_lane_one_half_comes_after_the_other(cluster: Cluster, tmp_path: Path) -> None:
    seen: list[tuple[type[Event], Action]] = []

    def note(event: Event, /) -> None:
        if isinstance(event, StageStarted | StageEnded):
            seen.append((type(event), event.action))

    with fresh_postgresql_scene(tmp_path, cluster, extra="jobs: 1\n") as scene:
        restore_here(scene.project, note)
    assert seen.index((StageEnded, Action.COMPARE)) < seen.index((StageStarted, Action.STAGE_MEDIA))


def test_an_interruption_ends_both(scene: PostgresqlScene) -> None:
    """It comes in the main thread, while the server works and the media wait."""

    def strike(event: Event, /) -> None:
        if isinstance(event, StageAdvanced) and event.action is Action.STAGE_MEDIA:
            assert threading.current_thread() is not threading.main_thread()
        if isinstance(event, StageEnded) and event.action is Action.STAGE_DATABASE:
            raise AssertionError("it was not interrupted")
        if isinstance(event, StageEnded) and event.action is Action.STAGE_MEDIA:
            wait_for_sleep(scene.cluster)
            interrupt.set()

    interrupt = threading.Event()

    def raise_interrupted(*_: object) -> None:
        raise Interrupted(msg("interrupted"))

    before = signal.signal(signal.SIGUSR1, raise_interrupted)

    def send() -> None:
        interrupt.wait(SOON_SECONDS)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    sender = threading.Thread(target=send)
    sender.start()
    began = time.monotonic()
    try:
        with pytest.raises(Interrupted):
            restore_here(scene.project, strike)
    finally:
        signal.signal(signal.SIGUSR1, before)
        sender.join()
    assert_nothing_happened(scene, began)


@pytest.mark.parametrize("kind", ["folder", "script"])
def test_a_load_can_be_stopped(make: Make, kind: str) -> None:
    school = make(statements=SCHOOL + SLOW)
    source = DumpFolder(school.folder) if kind == "folder" else DumpScript("dump.sql", iter((school.content(),)))
    with school.open() as restoration:
        restoration.preflight(school.offer)

        def stop() -> None:
            wait_for_sleep(school.cluster)
            restoration.stop()

        stopper = threading.Thread(target=stop)
        stopper.start()
        with pytest.raises(Stopped):
            restoration.stage(source, school.record, school.note)
        stopper.join()
        with pytest.raises(Stopped):
            restoration.compare(school.record)
        restoration.discard(school.note)
    assert not sleeping(school.cluster)
    assert school.databases() == []
