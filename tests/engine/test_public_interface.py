"""The public interface is what ``public_interface.txt`` lists: a change there is a change for users.

``python tests/engine/test_public_interface.py`` prints the list as the code has it.
"""

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

import measurewise.engine as engine

MADE_BY_THE_ENGINE = {"Prepared"}
LISTED = Path(__file__).with_name("public_interface.txt")


def signature(value: Any) -> str:
    text = str(inspect.signature(value))
    # Annotations are strings here; a quoted default is not.
    return re.sub(r"""(: |-> )(?:'([^']*)'|"([^"]*)")""", r"\1\2\3", text)


def described(name: str, value: Any) -> Iterator[str]:
    if not inspect.isclass(value):
        yield f"{name}{signature(value)}"
        return
    bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
    if issubclass(value, Enum):
        yield f"{name}({bases}): {', '.join(member.name for member in value)}"
        return
    own = signature(value)
    yield f"{name}{'' if name in MADE_BY_THE_ENGINE else own}" + (f" is {bases}" if bases else "")
    for member, found in sorted(vars(value).items()):
        if member.startswith("_") or (inspect.isdatadescriptor(found) and not isinstance(found, property)):
            continue
        if isinstance(found, property):
            yield f"{name}.{member}"
        elif isinstance(found, classmethod | staticmethod):
            yield f"{name}.{member}{signature(found.__func__)}"
        elif inspect.isfunction(found):
            yield f"{name}.{member}{signature(found)}"


def interface() -> list[str]:
    return [line for name in sorted(engine.__all__) for line in described(name, getattr(engine, name))]


def test_the_interface_is_the_one_that_is_listed():
    assert interface() == LISTED.read_text().splitlines()


def test_every_name_is_documented_and_has_its_home():
    assert set(engine._HOMES) == set(engine.__all__) <= set(dir(engine))
    for name in engine.__all__:
        assert inspect.getdoc(getattr(engine, name)), name


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = engine.Nothing


def test_importing_the_packages_imports_nothing_else():
    code = (
        "import sys; before = set(sys.modules); import measurewise, measurewise.engine; "
        "print(*sorted(m for m in set(sys.modules) - before if m.startswith(('measurewise', 'msgspec'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["measurewise", "measurewise.engine"]


def test_type_checkers_see_every_name_and_no_other(tmp_path):
    checked = tmp_path / "checked.py"
    names = ", ".join(sorted(engine.__all__))
    checked.write_text(
        f"from measurewise.engine import ({names})\n"
        "prepared: Prepared = Engine(load_content('x')).prepare('y', period='2026')\n"
        "results: list[PatientResult] = prepared.evaluate(read_record(b''))\n"
        "from measurewise.engine import Nothing\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(checked)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    errors = [line for line in done.stdout.splitlines() if "error:" in line]
    assert len(errors) == 1, done.stdout
    assert 'has no attribute "Nothing"' in errors[0]


if __name__ == "__main__":
    print("\n".join(interface()))
