"""A PostgreSQL server for the tests: started once, on a socket in a folder of its own, and thrown away."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

_numbers = count(1)


def server_programs() -> Path | None:
    """The folder of ``initdb`` and ``pg_ctl``, the newest where there are several; None where none is."""
    packaged = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name.split(".")[0])
    )
    found = [folder for folder in packaged if (folder / "initdb").exists()]
    if found:
        return found[-1]
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def server(programs: Path) -> Iterator[str]:
    """A running server; gives the SQLAlchemy URL of a database on it, without its name at the end."""
    # A socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="measurewise-pg-", dir="/tmp"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        user = "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"
        shutil.chown(folder, user)
        as_user = ["runuser", "-u", user, "--"]
    data = folder / "data"
    run = [*as_user, "env", "LC_ALL=C"]

    def control(*arguments: str) -> None:
        subprocess.run(
            [*run, *arguments], check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )

    control(str(programs / "initdb"), "-D", str(data), "-U", "test", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
    control(
        str(programs / "pg_ctl"), "-D", str(data), "-o", options, "-w", "-l", str(folder / "log"), "start"
    )
    try:
        yield f"postgresql+psycopg://test@/{{name}}?host={folder}"
    finally:
        control(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def new_database(request: pytest.FixtureRequest, folder: Path, kind: str) -> str:
    """The URL of an empty database of a kind."""
    if kind == "sqlite":
        return f"sqlite:///{folder / 'store.db'}"
    server: str = request.getfixturevalue("postgresql_server")
    return make_database(server)


def make_database(server: str, template: str = "template1") -> str:
    """The URL of a new database on a server, a copy of another one."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    engine = create_engine(server.format(name="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    engine.dispose()
    return server.format(name=name)
