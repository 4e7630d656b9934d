"""The work of `runner restore`, `undo` and `recover`: what is asked, and what is told afterwards."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import click

from runner.cli.asking import agrees, require_terminal
from runner.cli.moments import moment_text, parse_moment
from runner.cli.plans import restore_plan_data, restore_plan_lines
from runner.cli.profiles import load_profile, with_tools
from runner.cli.progress import Lines, reporter
from runner.cli.run import Outcome, tell
from runner.cli.settings import Settings
from runner.cli.text import finding_lines, number_text, size_text, wrapped
from runner.databases.base import LiveDatabase
from runner.errors import ExitCode, Finding, Refused, UsageError, exit_code_of
from runner.media.site import LiveMedia
from runner.messages import Message, counted, msg
from runner.model.marks import RunNames
from runner.model.profile import Variant
from runner.model.report import RecoverReport, RestoreReport
from runner.state import ProfileState
from runner.workflow.choosing import Wanted
from runner.workflow.inspection import Confirm, Prepared, Question
from runner.workflow.opening import RestoreRequest
from runner.workflow.recover import Direction, recover
from runner.workflow.restore import DoneWithErrors, examine, restore
from runner.workflow.undo import examine_undo, undo


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """The options of `runner restore`, and `tools`: the folder of PostgreSQL's programs, where a person names it."""

    variant: str | None
    at: str | None
    yes: bool
    dry_run: bool
    accept_damage: bool
    no_safety_copy: bool
    trust_sql: bool
    tools: Path | None = None

    @classmethod
    def of(cls, options: Mapping[str, object]) -> "RestoreOptions":
        """From what click hands over."""
        return cls(**{name: cast("Any", options[name]) for name in cls.__slots__ if name in options})


def restore_outcome(settings: Settings, name: str, archive: str, options: RestoreOptions) -> Outcome:
    """Raises RunnerError."""
    now = datetime.now().astimezone()
    request = RestoreRequest(
        profile=with_tools(load_profile(settings, name), options.tools),
        wanted=Wanted(archive, None if options.at is None else parse_moment(options.at)),
        names=_new_names(now),
        now=now,
        variant=None if options.variant is None else Variant(options.variant),
        accept_damage=options.accept_damage,
        safety_copy=not options.no_safety_copy,
        trust_sql=options.trust_sql,
    )
    if options.dry_run:
        with reporter(settings) as report:
            return _examined(examine(request, report))
    with reporter(settings, ProfileState.of(request.profile).logs) as report:
        confirm = _confirmation(name, report, yes=options.yes, keeps=not options.no_safety_copy)
        return _outcome(lambda: _restored(restore(request, confirm, report)))


def undo_outcome(settings: Settings, name: str, run_id: str | None, *, yes: bool, dry_run: bool) -> Outcome:
    """Raises RunnerError."""
    profile = load_profile(settings, name)
    names = _new_names(datetime.now().astimezone())
    if dry_run:
        with reporter(settings) as report:
            return _examined(examine_undo(profile, run_id, names, report))
    with reporter(settings, ProfileState.of(profile).logs) as report:
        confirm = _confirmation(name, report, yes=yes, keeps=True)
        return _outcome(lambda: _restored(undo(profile, run_id, names, confirm, report)))


def recover_outcome(settings: Settings, name: str, *, forward: bool, back: bool) -> Outcome:
    """Raises RunnerError."""
    if forward and back:
        raise UsageError(
            msg("`--forward` and `--back` cannot both be wanted"),
            hint=msg("run `runner recover {profile}` first: it says whether a choice is needed", profile=name),
        )
    direction: Direction | None = "forward" if forward else "back" if back else None
    profile = load_profile(settings, name)
    with reporter(settings, ProfileState.of(profile).logs) as report:
        return _outcome(lambda: _recovered(recover(profile, direction, report)))


def _outcome(work: Callable[[], Outcome]) -> Outcome:
    """What was done is told also where something failed, or a person wanted to stop, once it was done."""
    try:
        return work()
    except DoneWithErrors as error:
        done = error.report
        told = _restored(done) if isinstance(done, RestoreReport) else _recovered(done)
        return replace(told, errors=error.findings, exit_code=exit_code_of(error))


def _examined(prepared: Prepared) -> Outcome:
    lines = (*restore_plan_lines(prepared.plan), "", *_question_lines(prepared.question))
    data = {"plan": restore_plan_data(prepared.plan), "replaces": _question_data(prepared.question)}
    code = ExitCode.REFUSED if prepared.errors else ExitCode.DONE
    warnings = (*prepared.question.foreign, *prepared.question.warnings, *prepared.question.lost)
    return Outcome(data, lines, warnings, prepared.errors, code)


def _new_names(now: datetime) -> RunNames:
    return RunNames(f"{now.strftime('%Y%m%d_%H%M%S')}-{secrets.token_hex(4)}")


def _confirmation(profile: str, report: Lines, *, yes: bool, keeps: bool) -> Confirm:
    """Shows what will be replaced and asks. What removes the way back has to be typed out."""

    def confirm(question: Question) -> None:
        if not yes:
            with report.paused():
                ask(question)

    def ask(question: Question) -> None:
        for line in (*_question_lines(question), *_finding_lines(question)):
            tell(line)
        require_terminal(msg("look at `--dry-run`, and say `--yes` if that is what you want"))
        try:
            if keeps:
                agreed = agrees(msg("Replace it?"))
            else:
                prompt = msg("There will be no safety copy and no undo. Type `{profile}` to go on", profile=profile)
                agreed = click.prompt(prompt.localized(), default="", show_default=False, err=True) == profile
        except click.Abort:  # the end of the input (Ctrl-D) is no answer
            agreed = False
        if not agreed:
            raise Refused(msg("not confirmed; nothing was changed"), hint=msg("run it again when you are sure"))

    return confirm


def _question_lines(question: Question) -> Iterator[str]:
    plan = question.plan
    line = msg(
        "{variant} {command} of {profile} from {source} replaces:",
        variant=plan.variant.value,
        command=plan.command,
        profile=plan.profile.name,
        source=plan.source,
    )
    yield from wrapped(line.localized(), "  ")
    if question.database is not None:
        yield from _database_lines(question.database)
    if question.media is not None:
        yield from wrapped(_media_message(question.media).localized(), "    ")
    yield from wrapped(_kept_message(question).localized(), "    ")
    for note in question.notes:
        yield from wrapped(f"  {note.message.localized()}", "    ")


def _database_lines(live: LiveDatabase) -> Iterator[str]:
    if not live.exists:
        yield msg("  database: there is none; it will be made").localized()
        return
    yield from wrapped(_database_message(live).localized(), "    ")
    for session in live.sessions:
        line = msg("    connected now, ended at the swap: {session}", session=session)
        yield from wrapped(line.localized(), "      ")


def _database_message(live: LiveDatabase) -> Message:
    size, rows = size_text(live.size_bytes), _rows(live)
    tables = counted("{count} table", "{count} tables", live.tables)
    if live.newest_change is None:
        return msg("  database: {size}, {tables}, {rows}", size=size, tables=tables, rows=rows)
    return msg(
        "  database: {size}, {tables}, {rows}, last changed {moment}",
        size=size,
        tables=tables,
        rows=rows,
        moment=moment_text(live.newest_change),
    )


def _rows(live: LiveDatabase) -> Message:
    if live.rows is None:
        return msg("rows never counted by the server")
    if live.rows_are_exact:
        return counted("{count} row", "{count} rows", live.rows)
    return counted("about {count} row", "about {count} rows", live.rows)


def _media_message(live: LiveMedia) -> Message:
    if not live.exists:
        return msg("  media: there are none; the folder will be made")
    files, size = counted("{count} file", "{count} files", live.files), size_text(live.bytes)
    if live.newest_change is None:
        return msg("  media: {files}, {size}", files=files, size=size)
    moment = moment_text(live.newest_change)
    return msg("  media: {files}, {size}, last changed {moment}", files=files, size=size, moment=moment)


def _kept_message(question: Question) -> Message:
    plan = question.plan
    if not plan.safety_copy:
        return msg("  safety copy: none, so there is no way back")
    places: list[str] = []
    if question.database is not None and question.database.exists:
        on_server = msg("the database {database} on the server", database=plan.names.replaced_database)
        places.append(on_server.localized() if plan.kept_database is None else str(plan.kept_database))
    if question.media is not None and question.media.exists:
        places.append(str(plan.kept_media))
    if not places:
        return msg("  safety copy: none, for there is nothing yet that it could keep")
    return msg("  safety copy: {places}", places=", ".join(places))


def _finding_lines(question: Question) -> Iterator[str]:
    for finding in (*question.foreign, *question.lost):
        yield from finding_lines("please confirm", finding)
    for finding in question.warnings:
        yield from finding_lines("warning", finding)


def _question_data(question: Question) -> dict[str, Any]:
    database, media = question.database, question.media
    return {
        "database": None
        if database is None
        else {
            "exists": database.exists,
            "size_bytes": database.size_bytes,
            "tables": database.tables,
            "rows": database.rows,
            "rows_are_exact": database.rows_are_exact,
            "sessions": list(database.sessions),
        },
        "media": None if media is None else {"exists": media.exists, "files": media.files, "bytes": media.bytes},
        "left_out": [str(note.message) for note in question.notes],
    }


def _restored(done: RestoreReport) -> Outcome:
    data = {
        "restore": {
            "profile": done.profile,
            "command": done.command,
            "variant": done.variant,
            "source": str(done.source),
            "run_id": done.run_id,
            "kept_database": done.kept_database,
            "kept_media": done.kept_media,
            "duration_seconds": round(done.duration_seconds, 3),
            "can_be_undone": done.no_undo is None,
            "lost": [str(finding) for finding in done.lost],
        }
    }
    return Outcome(data, tuple(_restored_lines(done)), _once(done.warnings))


def _once(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple({(finding.code, str(finding)): finding for finding in findings}.values())


def _restored_lines(done: RestoreReport) -> Iterator[str]:
    line = msg(
        "{profile}: {variant} {command} from {source} is in",
        profile=done.profile,
        variant=done.variant,
        command=done.command,
        source=done.source,
    )
    yield from wrapped(line.localized(), "  ")
    for place in (done.kept_database, done.kept_media):
        if place is not None:
            yield from wrapped(msg("  what it replaced: {place}", place=place).localized(), "    ")
    line = msg("  {seconds} s, run {run_id}", seconds=number_text(done.duration_seconds), run_id=done.run_id)
    yield from wrapped(line.localized(), "    ")
    line = msg("  `runner undo {profile}` takes it back", profile=done.profile)
    if done.no_undo is not None:
        line = msg("  `runner undo` cannot take it back: {reason}", reason=done.no_undo)
    yield from wrapped(line.localized(), "    ")


def _recovered(done: RecoverReport) -> Outcome:
    data = {"recovery": _recovery_data(done)}
    return Outcome(data, tuple(_recovery_lines(done)), done.warnings, tells_warnings=False)


def _recovery_lines(done: RecoverReport) -> Iterator[str]:
    name = done.profile
    lines = {
        "nothing": msg("{profile}: there is nothing to recover", profile=name),
        "cleaned": msg(
            "{profile}: the interrupted restore had not touched anything live; what it staged is removed", profile=name
        ),
        "finished": msg("{profile}: the interrupted restore is finished: the new state is in", profile=name),
        "taken-back": msg("{profile}: the interrupted restore is taken back: the old state is in", profile=name),
    }
    yield from wrapped(lines[done.outcome].localized(), "  ")


def _recovery_data(done: RecoverReport) -> dict[str, Any]:
    return {"profile": done.profile, "outcome": done.outcome, "run_id": done.run_id, "source": done.source}
