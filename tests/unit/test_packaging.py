"""What is declared is what gets built and installed."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import wsfeeds

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "wsfeeds"


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    """Constraints by normalized name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


@pytest.fixture(scope="module")
def declared(pyproject: dict[str, Any]) -> list[Requirement]:
    """Every requirement the project names: to run, with extras, to build and to develop."""
    project = pyproject["project"]
    lists = [project["dependencies"], *project.get("optional-dependencies", {}).values()]
    lists += [pyproject["build-system"]["requires"], *pyproject["dependency-groups"].values()]
    return [Requirement(text) for texts in lists for text in texts]


def test_the_version_is_stated_once(pyproject: dict[str, Any]) -> None:
    assert "version" not in pyproject["project"]
    assert pyproject["project"]["dynamic"] == ["version"]
    source = (ROOT / pyproject["tool"]["hatch"]["version"]["path"]).read_text(encoding="utf-8")
    assert re.findall(r'^__version__ = "(.+)"$', source, re.MULTILINE) == [wsfeeds.__version__]


def test_the_console_script_names_a_function(pyproject: dict[str, Any]) -> None:
    module, _, name = pyproject["project"]["scripts"]["wsfeeds"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_the_console_script_is_the_same_as_the_module(pyproject: dict[str, Any]) -> None:
    assert pyproject["project"]["scripts"]["wsfeeds"] == "wsfeeds.__main__:main"


def test_the_api_is_listed_before_any_of_it_is_used() -> None:
    code = "import wsfeeds; print(*dir(wsfeeds)); print(*wsfeeds.__all__, 'errors', 'events')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    listed, offered = (set(line.split()) for line in done.stdout.splitlines())
    assert offered <= listed
    assert {name for name in listed - offered if not name.startswith("__")} == set()


def test_the_package_is_typed_and_every_folder_of_it_a_package() -> None:
    assert (PACKAGE / "py.typed").is_file()
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_every_dependency_has_a_lower_bound(declared: list[Requirement]) -> None:
    bounds = {str(need): {part.operator for part in need.specifier} for need in declared}
    assert [need for need, operators in bounds.items() if not operators & {">=", "~=", "=="}] == []


def test_constraints_are_exact_versions_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pin = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][0-9A-Za-z.]*")
    assert [line for line in lines if not line.startswith("#") and not pin.fullmatch(line)] == []


def test_constraints_satisfy_every_declared_dependency(
    declared: list[Requirement],
    pins: dict[str, str],
) -> None:
    missing = [str(need) for need in declared if canonicalize_name(need.name) not in pins]
    assert missing == []
    assert [
        str(need)
        for need in declared
        if not need.specifier.contains(pins[canonicalize_name(need.name)], prereleases=True)
    ] == []


def test_constraints_cover_what_the_dependencies_need(
    declared: list[Requirement],
    pins: dict[str, str],
) -> None:
    """Followed through what is installed here, so with this Python's markers."""
    todo, seen = list(declared), set[str]()
    while todo:
        need = todo.pop()
        if str(need) in seen:
            continue
        seen.add(str(need))
        assert canonicalize_name(need.name) in pins, f"{need} has no constraint: make lock"
        todo += [
            deeper
            for text in installed_requirements(need.name)
            if wanted(deeper := Requirement(text), need.extras)
        ]


def installed_requirements(name: str) -> list[str]:
    """What an installed distribution requires; nothing of one that is not installed."""
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []


def wanted(need: Requirement, extras: set[str]) -> bool:
    """Whether a requirement applies here, given the extras its parent was asked for."""
    return need.marker is None or any(need.marker.evaluate({"extra": e}) for e in extras | {""})


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    return folder


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    run(sys.executable, "-m", "venv", str(folder))
    (wheel,) = dist.glob("*.whl")
    install = ["-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt")]
    run(str(folder / "bin" / "python"), *install, str(wheel))
    return folder / "bin"


def run(*command: str, cwd: Path | None = None) -> str:
    """Run a command to its end and return its stdout; a failure shows both streams."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_the_wheel_holds_the_whole_package_and_nothing_else(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*.py")}
    assert sources | {"wsfeeds/py.typed"} <= names
    assert {name.split("/")[0] for name in names} == {
        "wsfeeds",
        f"wsfeeds-{wsfeeds.__version__}.dist-info",
    }


@pytest.mark.slow
def test_the_sdist_holds_what_a_rebuild_and_its_tests_need(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    top = f"wsfeeds-{wsfeeds.__version__}"
    with tarfile.open(sdist) as archive:
        names = set(archive.getnames())
    wanted_names = ["pyproject.toml", "README.md", "LICENSE", "Makefile", "constraints.txt"]
    wanted_names += ["wsfeeds/py.typed", "tests/unit/test_packaging.py", "docs/protocols/README.md"]
    assert [name for name in wanted_names if f"{top}/{name}" not in names] == []


@pytest.mark.slow
def test_the_installed_wheel_runs_as_a_command_and_as_a_module(
    installed: Path,
    tmp_path: Path,
) -> None:
    assert wsfeeds.__version__ in run(str(installed / "wsfeeds"), "--version", cwd=tmp_path)
    module = [str(installed / "python"), "-m", "wsfeeds", "--version"]
    assert wsfeeds.__version__ in run(*module, cwd=tmp_path)


@pytest.mark.slow
def test_everything_that_an_install_brings_is_constrained(
    installed: Path,
    pins: dict[str, str],
) -> None:
    frozen = run(str(installed / "python"), "-m", "pip", "freeze", "--exclude", "wsfeeds")
    found = dict(line.split("==") for line in frozen.splitlines())
    assert {name: pins.get(canonicalize_name(name)) for name in found} == found
