"""What is installed is what was built: the wheel alone, in an environment of its own, far from the checkout."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SCHEMAS = ("profile", "backup", "manifest")

VALID = """\
version: 1
media: {root: media}
archive: {name: "school_{timestamp}.zip"}
destinations: [{type: local, path: archives}]
"""


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment that holds the wheel; its dependencies are those that the tests themselves run with."""

    home: Path
    elsewhere: Path

    @property
    def scripts(self) -> Path:
        return self.home / ("Scripts" if sys.platform == "win32" else "bin")

    @property
    def python(self) -> Path:
        return self.scripts / ("python.exe" if sys.platform == "win32" else "python")

    def run(self, program: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return subprocess.run(
            [program, *arguments],
            cwd=self.elsewhere,
            env=clean,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )

    def runner(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return self.run(self.scripts / ("runner.exe" if sys.platform == "win32" else "runner"), *arguments)


def build(kind: str, source: Path, into: Path) -> Path:
    """Build an `sdist` or a `wheel` of `source`; no network: the build backend is part of the test requirements."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(into)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (artifact,) = into.iterdir()
    return artifact


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", CHECKOUT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    home, elsewhere = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("elsewhere")
    venv.create(home, with_pip=False)
    environment = Environment(home, elsewhere)
    install = [sys.executable, "-m", "pip", "--python", str(environment.python), "--disable-pip-version-check"]
    install += ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    own = environment.run(environment.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    dependencies = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    # Appended to the environment's own packages, so they cannot hide the wheel's `runner`.
    Path(own.stdout.strip(), "dependencies.pth").write_text("\n".join(dependencies) + "\n", encoding="utf-8")
    return environment


def test_the_wheel_carries_the_schemas_and_nothing_of_the_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as zipped:
        names = set(zipped.namelist())
        assert {f"runner/schema/{name}.schema.json" for name in SCHEMAS} <= names
        assert "runner/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"runner"}


def test_the_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(build("sdist", CHECKOUT, tmp_path / "sdist")) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    again = build("wheel", source, tmp_path / "wheel")
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert {entry.filename: entry.CRC for entry in first.infolist()} == {
            entry.filename: entry.CRC for entry in second.infolist()
        }


def test_runner_comes_from_the_wheel(installed: Environment) -> None:
    where = installed.run(installed.python, "-c", "import runner; print(runner.__file__)")
    assert where.returncode == 0, where.stderr
    assert Path(where.stdout.strip()).resolve().is_relative_to(installed.home.resolve())


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_installed_command_prints_the_schema(installed: Environment, name: str) -> None:
    printed = installed.runner("schema", name)
    assert printed.returncode == 0, printed.stderr
    in_checkout = (CHECKOUT / "schema" / f"{name}.schema.json").read_text(encoding="utf-8")
    assert json.loads(printed.stdout) == json.loads(in_checkout)


def test_the_installed_command_validates(installed: Environment) -> None:
    (installed.elsewhere / "backup.yml").write_text("version: 1\n", encoding="utf-8")
    profiles = installed.elsewhere / "profiles"
    profiles.mkdir()
    good, bad = profiles / "good.yml", profiles / "bad.yml"
    good.write_text(VALID, encoding="utf-8")
    bad.write_text(
        VALID.replace("path:", "pth:").replace("media}", "other}").replace("school_", "other_"), encoding="utf-8"
    )

    accepted = installed.runner("validate", good)
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    refused = installed.runner("validate", bad)
    assert refused.returncode == 10, refused.stdout + refused.stderr
    assert "bad.yml:4:30" in refused.stdout + refused.stderr
    assert "`path`" in refused.stdout + refused.stderr
