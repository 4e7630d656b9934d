"""A staged database and the live one are exchanged by name: wholly or not at all, and back."""

import contextlib
import threading
import time
from pathlib import Path

import psycopg
import pytest

from runner.databases.base import DumpFolder, KeptDatabase, Offer
from runner.databases.postgresql import open_capture, swap
from runner.databases.postgresql.choice import open_restoration
from runner.errors import LockHeld, ServerUnavailable, StepFailed, ToolFailed
from runner.model.marks import DatabaseMarks, RunNames, Side
from runner.model.profile import PostgresqlConfig
from tests.roundtrip.schools import NAMES, Make, School


def test_sessions_end_at_the_swap_and_nobody_comes_in_before_it_opens(make: Make) -> None:
    school = make()
    with school.cluster.connect(school.name) as session, school.staged() as restoration:
        session.execute("INSERT INTO mark VALUES (4)")
        restoration.swap(school.note, None)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
            school.cluster.connect(school.name)
        assert restoration.side() is Side.NEW
        restoration.open()
        assert school.marks() == 2
        kept = restoration.replaced()
        assert isinstance(kept, PostgresqlConfig)
        assert school.sql("SELECT count(*) FROM mark", kept.name) == [(4,)]
        school.work.mkdir(exist_ok=True)
        with open_capture(kept, school.work, NAMES.timestamp) as capture:
            assert sum(len(chunk) for part in capture.parts(gzip=False) for chunk in part.chunks) > 0
        restoration.let_go(school.note)
        restoration.let_go(school.note)
    assert school.databases() == []
    assert school.marks() == 2


def test_a_crowd_that_keeps_coming_does_not_stop_the_swap(make: Make) -> None:
    school = make()
    stop = threading.Event()

    def come() -> None:
        while not stop.is_set():
            with contextlib.suppress(psycopg.Error), school.cluster.connect(school.name) as session:
                session.execute("SELECT pg_sleep(0.02)")

    crowd = [threading.Thread(target=come) for _ in range(4)]
    with school.staged() as restoration:
        for each in crowd:
            each.start()
        try:
            restoration.swap(school.note, None)
        finally:
            stop.set()
            for each in crowd:
                each.join()
        assert restoration.side() is Side.NEW
        restoration.open()
    assert school.marks() == 2


@pytest.mark.slow
def test_who_slips_in_between_two_attempts_is_ended_too(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    school = make("CREATEDB")
    monkeypatch.setattr(swap, "END_SECONDS", 20.0)
    said: list[str] = []

    def slip_in() -> None:
        try:
            with psycopg.connect(school.cluster.dsn(school.name), user=school.config.user) as session:
                said.append("inside")
                session.execute("SELECT pg_sleep(60)")
        except psycopg.OperationalError as error:
            said.append(str(error))

    stays = school.cluster.connect(school.name)  # a superuser's, which is not ended
    # The first attempt waits five seconds for it and fails; meanwhile the other waits for the lock that it holds.
    late = [threading.Timer(2.0, slip_in), threading.Timer(5.5, stays.close)]
    with school.staged() as restoration:
        for each in late:
            each.start()
        restoration.swap(school.note, None)
        for each in late:
            each.join()
        assert said[0] == "inside"
        assert "terminating connection" in said[1]
        assert restoration.side() is Side.NEW


def test_the_swap_can_be_taken_back(make: Make) -> None:
    school = make()
    before = school.properties()
    with school.staged() as restoration:
        restoration.swap(school.note, None)
        restoration.swap_back(school.note)
        restoration.swap_back(school.note)
        assert restoration.side() is Side.OLD
        assert not school.is_open()
        restoration.discard(school.note)
        restoration.discard(school.note)
        assert restoration.side() is Side.OLD
    assert school.databases() == []
    assert school.marks() == 3
    assert school.properties() == before


def test_what_is_live_is_never_discarded_and_what_is_replaced_never_let_go_too_early(make: Make) -> None:
    school = make()
    with school.staged() as restoration:
        with pytest.raises(StepFailed):
            restoration.let_go(school.note)
        restoration.swap(school.note, None)
        with pytest.raises(StepFailed):
            restoration.discard(school.note)
        assert restoration.side() is Side.NEW
    assert len(school.databases()) == 1


def test_another_process_goes_on_from_the_marks(make: Make) -> None:
    school = make()
    with school.staged():
        pass
    marks = school.notes[-1]
    with school.open(marks) as second:
        assert second.side() is Side.OLD
        second.swap(school.note, None)
    with school.open(school.notes[-1]) as third:
        third.swap(school.note, None)
        assert third.side() is Side.NEW
        third.open()
        third.let_go(school.note)
    assert school.marks() == 2
    assert school.databases() == []


def test_a_crash_before_the_oid_was_noted_leaves_nothing(make: Make) -> None:
    school = make()

    def dies(marks: DatabaseMarks) -> None:
        school.note(marks)
        if len(school.notes) == 2:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt), school.open() as restoration:
        restoration.stage(DumpFolder(school.folder), school.record, dies)
    assert school.databases() == [NAMES.staged_database]
    assert school.notes[0].staged_oid is None
    with school.open(school.notes[0]) as recovery:
        assert recovery.side() is Side.OLD
        recovery.discard(school.note)
    assert school.databases() == []


def test_a_load_that_fails_says_why_and_touches_nothing(make: Make) -> None:
    school = make()
    (member,) = [table.member for table in school.record.tables if table.name == "public.pupil"]
    assert member is not None
    data = school.folder / Path(member).name
    data.write_bytes(b"not a number\tx\n\\.\n")
    with school.open() as restoration:
        restoration.preflight(school.offer)
        with pytest.raises(ToolFailed, match="not a number"):
            restoration.stage(DumpFolder(school.folder), school.record, school.note)
        restoration.discard(school.note)
    assert school.databases() == []
    assert school.marks() == 2


@pytest.fixture
def stubborn(make: Make, monkeypatch: pytest.MonkeyPatch) -> School:
    """A restore whose swap cannot go on: a superuser's session is inside, whom an ordinary role cannot end."""
    school = make("CREATEDB")
    monkeypatch.setattr(swap, "END_SECONDS", 3.0)
    return school


def test_a_session_that_stays_stops_the_swap_and_nothing_has_happened(stubborn: School) -> None:
    school = stubborn
    with school.staged() as restoration, school.cluster.connect(school.name):
        with pytest.raises(StepFailed, match="postgres"):
            restoration.swap(school.note, None)
        assert restoration.side() is Side.OLD
        assert school.is_open()
    with school.open(school.notes[-1]) as again:
        again.swap(school.note, None)
        assert again.side() is Side.NEW


@pytest.mark.parametrize("how", ["terminated", "crash"])
def test_killed_in_the_middle_of_the_swap_nothing_has_happened(stubborn: School, how: str) -> None:
    school = stubborn

    def strike() -> None:
        busy = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'ALTER DATABASE%RENAME%' AND state = 'active'"
        while not (found := school.sql(busy, "postgres")):
            time.sleep(0.05)
        if how == "crash":
            school.cluster.crash()
        else:
            school.sql(f"SELECT pg_terminate_backend({found[0][0]})", "postgres")

    with school.staged() as restoration, contextlib.suppress(psycopg.OperationalError):
        with school.cluster.connect(school.name):
            striker = threading.Thread(target=strike)
            striker.start()
            with pytest.raises(ServerUnavailable):
                restoration.swap(school.note, None)
            striker.join()
            if how == "crash":
                with pytest.raises(ServerUnavailable):
                    restoration.side()
                school.cluster.start()
            assert restoration.side() is Side.OLD
            assert school.is_open()
            assert school.marks() == 3
        restoration.swap(school.note, None)
        restoration.open()
        assert school.marks() == 2
    assert school.sql("SELECT 1", "postgres") == [(1,)]


def test_a_crash_after_the_swap_leaves_it_swapped_and_closed(make: Make) -> None:
    school = make()
    with school.staged() as restoration:
        restoration.swap(school.note, None)
        school.cluster.crash()
        with pytest.raises(ServerUnavailable):
            restoration.open()
        school.cluster.start()
        assert restoration.side() is Side.NEW
        assert not school.is_open()
        restoration.open()
    assert school.marks() == 2


def test_only_one_restore_of_a_database_at_a_time(make: Make) -> None:
    school = make()
    with school.open(), pytest.raises(LockHeld), school.open():
        pass
    with school.open():
        pass


def test_a_database_that_somebody_else_replaced_is_told(make: Make) -> None:
    school = make()
    with school.staged() as restoration:
        school.cluster.drop_database(school.name)
        assert restoration.side() is Side.UNCLEAR
        school.cluster.create_database(school.name)
        assert restoration.side() is Side.UNCLEAR
        with pytest.raises(StepFailed):
            restoration.swap(school.note, None)
        with pytest.raises(StepFailed):
            restoration.open()
        restoration.discard(school.note)
    assert school.databases() == []


def test_a_kept_database_comes_back_and_stays_when_it_is_not_wanted(make: Make) -> None:
    school = make()
    with school.staged() as restoration:
        restoration.swap(school.note, None)
        restoration.open()
        marks = school.notes[-1]
    assert marks.live_oid is not None
    kept = KeptDatabase(marks.replaced_name, marks.live_oid)
    undo = RunNames("20260108_120000-89abcdef")
    for wanted in (False, True):
        with open_restoration(school.config, None, undo, None, school.work) as back:
            assert back.preflight(Offer("kept", None)).errors == []
            back.stage(kept, None, school.note)
            back.swap(school.note, None)
            if not wanted:
                back.swap_back(school.note)
                back.discard(school.note)
                assert school.databases() == [kept.name]
                assert school.marks() == 2
                continue
            back.open()
            assert school.marks() == 3
            back.let_go(school.note)
    assert school.databases() == []
