"""A reference becomes a value, or an error that names the reference and never the value."""

import copy
import os
import pickle
import sys
from pathlib import Path

import pytest

from runner.errors import ConfigurationInvalid, ExitCode, exit_code_of
from runner.model.secret import CommandSecret, EnvironmentSecret, FileSecret, Secret, SecretReference
from runner.secrets import resolve

VALUE = "pass wörd'\"\\$"


def printing(script: str) -> CommandSecret:
    return CommandSecret((sys.executable, "-c", script))


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNNER_TEST_SECRET", VALUE)
    assert resolve(EnvironmentSecret("RUNNER_TEST_SECRET")).reveal() == VALUE


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (VALUE.encode(), VALUE),
        (VALUE.encode() + b"\n", VALUE),
        (VALUE.encode() + b"\r\n", VALUE),
        (b" spaces stay \n\n", " spaces stay \n"),
        (b"\xef\xbb\xbfwritten by an editor on Windows\r\n", "written by an editor on Windows"),
        (b"", ""),
    ],
)
def test_from_a_file(tmp_path: Path, content: bytes, value: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert resolve(FileSecret(tmp_path / "secret")).reveal() == value


def test_from_a_command() -> None:
    script = f"import sys; sys.stdout.buffer.write({VALUE!r}.encode() + b'\\n')"
    assert resolve(printing(script)).reveal() == VALUE


@pytest.mark.parametrize(
    ("reference", "named"),
    [
        (EnvironmentSecret("RUNNER_TEST_UNSET"), "RUNNER_TEST_UNSET"),
        (FileSecret(Path("no such file")), "no such file"),
        (FileSecret(Path(__file__).parent), "unit"),
        (CommandSecret(("no-such-program", "never-shown")), "no-such-program"),
        (printing("print('never-shown'); import sys; sys.exit('never-shown')"), "command"),
        (printing("import sys; sys.stdout.buffer.write(b'never-shown \\xff\\xfe')"), "command"),
        (printing("print('never-shown\\0')"), "command"),
    ],
)
def test_without_a_value_the_reference_is_named(reference: SecretReference, named: str) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        resolve(reference)
    (finding,) = caught.value.findings
    assert named in str(finding)
    assert "never-shown" not in f"{finding} {finding.hint}"
    assert finding.hint is not None
    assert exit_code_of(caught.value) is ExitCode.CONFIGURATION


@pytest.mark.parametrize("content", ["utf-16", "latin-1", "nul"])
def test_a_file_in_another_encoding_is_refused(tmp_path: Path, content: str) -> None:
    written = b"never-shown\0" if content == "nul" else "never-shown é".encode(content)
    (tmp_path / "secret").write_bytes(written)
    with pytest.raises(ConfigurationInvalid) as caught:
        resolve(FileSecret(tmp_path / "secret"))
    assert "never-shown" not in str(caught.value.findings)


@pytest.mark.skipif(os.name == "nt", reason="the environment of Windows is Unicode")
def test_an_environment_variable_that_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNNER_TEST_SECRET", os.fsdecode(b"never-shown \xe9"))
    with pytest.raises(ConfigurationInvalid) as caught:
        resolve(EnvironmentSecret("RUNNER_TEST_SECRET"))
    assert "never-shown" not in str(caught.value.findings)


def test_a_secret_cannot_be_shown_by_accident() -> None:
    secret = Secret("never-shown")
    for text in (
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret:>30}",
        f"{secret!r}",
        str([secret]),
        str({1: secret}),
    ):
        assert "never-shown" not in text
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)
    assert secret != Secret("never-shown")
