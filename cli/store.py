"""``measurewise store``: the database that the server keeps everything in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from measurewise.cli.options import AsJson
from measurewise.cli.output import print_json

if TYPE_CHECKING:
    from measurewise.api.settings import Settings
    from measurewise.store.database import Database

store = App(name="store", help="Look after the database of the server (MEASUREWISE_DATABASE).")

DataFolder = Annotated[
    Path | None, Parameter(name="--data-folder", help="Where files are kept (MEASUREWISE_DATA_FOLDER).")
]
DatabaseUrl = Annotated[
    str | None, Parameter(name="--database", help="An SQLAlchemy URL (MEASUREWISE_DATABASE).")
]


def settings_of(data_folder: Path | None, database: str | None) -> Settings:
    """The server's settings, with what the command line says in the place of the environment."""
    from measurewise.api.settings import Settings

    given = {"data_folder": data_folder, "database": database}
    return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def _database(data_folder: Path | None, database: str | None) -> Database:
    from measurewise.store.database import Database

    return Database(settings_of(data_folder, database).database_url)


@store.command
def migrate(*, data_folder: DataFolder = None, database: DatabaseUrl = None, json: AsJson = False) -> int:
    """Make the tables, or bring them to this version of the program."""
    opened = _database(data_folder, database)
    opened.migrate()
    opened.check()
    _tell(opened, "The tables are of this version", json)
    return 0


@store.command
def check(*, data_folder: DataFolder = None, database: DatabaseUrl = None, json: AsJson = False) -> int:
    """Tell whether the database can be reached, is whole, and has the tables of this version."""
    opened = _database(data_folder, database)
    opened.check()
    opened.check_whole()
    _tell(opened, "The database is whole, its tables are of this version", json)
    return 0


@store.command
def vacuum(*, data_folder: DataFolder = None, database: DatabaseUrl = None, json: AsJson = False) -> int:
    """Give back the room of what is not there any more, and renew what queries are planned by."""
    opened = _database(data_folder, database)
    opened.check()
    opened.vacuum()
    _tell(opened, "The database was tidied up", json)
    return 0


def _tell(opened: Database, said: str, as_json: bool) -> None:
    where = opened.engine.url.render_as_string(hide_password=True)
    if as_json:
        print_json({"database": where, "done": said})
    else:
        print(f"{said}: {where}")
