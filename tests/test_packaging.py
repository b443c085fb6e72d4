"""The distribution installs one import package, whole, from a wheel or from the source distribution."""

import configparser
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    "api",
    "cli",
    "cql_libraries",
    "engine",
    "fhir_server_adapter",
    "mips",
    "qrda",
    "store",
    "synthetic",
    "valuesets",
)


def build(target: str, source: Path, into: Path) -> Path:
    """Build one distribution of the project in ``source`` with the installed hatchling, offline."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (built,) = into.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment that holds the wheel and sees today's dependencies.

    A ``.pth`` line lends the dependencies; ``.pth`` files of the lent folder are not read, so the editable
    install of this checkout stays out of sight.
    """
    home = tmp_path_factory.mktemp("fresh")
    venv.create(home, with_pip=False, symlinks=True)
    interpreter = home / "bin" / "python"
    where = subprocess.run(
        [interpreter, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    shutil.unpack_archive(wheel, where, "zip")
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (Path(where) / "dependencies.pth").write_text("\n".join(sorted(lent)) + "\n")
    return interpreter


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


def test_every_room_is_linked_by_its_own_name() -> None:
    for room in ROOMS:
        link = ROOT / "src" / "measurewise" / room
        assert link.is_symlink(), room
        assert link.resolve() == ROOT / room
    assert {path.name for path in (ROOT / "src" / "measurewise").iterdir() if path.is_symlink()} == set(ROOMS)


def test_the_wheel_installs_one_top_level_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name.split("/")[0] for name in archive.namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"measurewise"}


def test_the_wheel_holds_every_file_of_the_rooms(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "--", *ROOMS], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\n")
    wanted = {f"measurewise/{name}" for name in tracked if name and (ROOT / name).exists()}
    assert wanted <= contents(wheel).keys()


def test_the_wheel_holds_the_type_marker_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "measurewise/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


@pytest.mark.parametrize("kind", [".cql", ".elm.json", ".json"])
def test_the_wheel_holds_the_shipped_content(wheel: Path, kind: str) -> None:
    shipped = [name for name in contents(wheel) if name.startswith("measurewise/cql_libraries/")]
    assert [name for name in shipped if name.endswith(kind)]


def test_the_source_distribution_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    source = build("sdist", ROOT, tmp_path / "sdist")
    with tarfile.open(source) as archive:
        assert not [member.name for member in archive.getmembers() if member.issym() or member.islnk()]
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert contents(build("wheel", unpacked, tmp_path / "wheel")) == contents(wheel)


def test_the_installed_package_is_the_wheels_own(installed: Path) -> None:
    code = "import measurewise.engine; print(measurewise.engine.__file__)"
    out = subprocess.run([installed, "-I", "-c", code], check=True, capture_output=True, text=True).stdout
    assert Path(out.strip()).is_relative_to(installed.parents[1])


def test_the_installed_command_tells_its_help(installed: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (entry,) = (name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt"))
        points = configparser.ConfigParser()
        points.read_string(archive.read(entry).decode())
    module, function = points["console_scripts"]["measurewise"].split(":")
    code = f"import sys; sys.argv = ['measurewise', '--help']; from {module} import {function}; {function}()"
    done = subprocess.run([installed, "-I", "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "evaluate" in done.stdout
