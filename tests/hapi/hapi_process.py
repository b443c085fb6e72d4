"""A HAPI FHIR JPA server of its own for the tests: built by Maven, started, waited for, ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

POM_FOLDER = Path(__file__).parent / "server"
MAIN_CLASS = "org.measurewise.tests.HapiServer"
BUILD_SECONDS = 600
START_SECONDS = 300
_LEAST_JAVA = 17


class CannotStart(Exception):
    """The server cannot be started here, for the reason in the message."""


@dataclass(frozen=True)
class Hapi:
    """A running server: its base address, its process and its log."""

    base_url: str
    pid: int
    log: Path

    def analyze(self) -> None:
        """Let its database take stock, which it else does too rarely for so much data in so little time."""
        address = self.base_url.removesuffix("/fhir") + "/analyze"
        httpx.post(address, timeout=120, trust_env=False).raise_for_status()

    def cpu_seconds(self) -> float:
        """The processor time that the server has used (Linux)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def missing_tools() -> str:
    """Why no server can be built here, or an empty string."""
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            return f"HAPI FHIR needs Java {_LEAST_JAVA} and Maven, and {tool} is not on PATH"
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    version = said.stderr.partition('"')[2].partition('"')[0].split(".")[0]
    if not version.isdigit() or int(version) < _LEAST_JAVA:
        return f"HAPI FHIR needs Java {_LEAST_JAVA}, and this is {version or 'of no known version'}"
    return ""


def build() -> str:
    """Resolve and compile the server; the class path. Raises CannotStart where Maven fails."""
    command = ["mvn", "-q", "-B", "-f", str(POM_FOLDER / "pom.xml"), "compile"]
    for attempt in (1, 2, 3):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise CannotStart(f"Maven was not done after {BUILD_SECONDS} s") from None
        if done.returncode == 0:
            target = POM_FOLDER / "target"
            return f"{target / 'classes'}{os.pathsep}{(target / 'classpath').read_text().strip()}"
        if attempt < 3:  # a repository that is busy answers the next time
            time.sleep(5 * attempt)
    raise CannotStart(f"Maven cannot build {POM_FOLDER}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


@contextmanager
def hapi_server(class_path: str, *, heap: str = "2g", subscriptions: bool = False) -> Iterator[Hapi]:
    """A server on a free port of the loopback interface, gone when the block ends.

    Raises CannotStart with the end of its log where it does not come up.
    """
    folder = Path(tempfile.mkdtemp(prefix="hapi-"))
    port_file, log = folder / "port", folder / "hapi.log"
    # the quicker compiler first: the tests run minutes, not days
    options = [f"-Xmx{heap}", "-XX:+UseParallelGC", "-XX:-UsePerfData", f"-Djava.io.tmpdir={folder}"]
    if subscriptions:
        options.append("-Dsubscriptions=true")
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["java", *options, "-cp", class_path, MAIN_CLASS, str(port_file)],
            stdout=out,
            stderr=subprocess.STDOUT,
            # it ends when this pipe does, so that it never outlives the tests
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
    try:
        yield Hapi(_ready(process, port_file, log), process.pid, log)
    finally:
        process.send_signal(signal.SIGKILL)  # all it has is in memory
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _ready(process: subprocess.Popen[bytes], port_file: Path, log: Path) -> str:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        if port_file.exists():
            base = f"http://127.0.0.1:{port_file.read_text()}/fhir"
            try:
                if httpx.get(f"{base}/metadata", timeout=60, trust_env=False).is_success:
                    return base
            except httpx.RequestError:
                pass
        time.sleep(0.25)
    raise CannotStart(f"HAPI did not come up: {log.read_text(errors='replace')[-3000:]}")
