"""Real servers for tests, started once per session and stopped by process id."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NO_POSTGRES = "no PostgreSQL server binaries (on Debian: apt-get install postgresql-15)"


def postgres_binaries() -> Path | None:
    """Folder with ``initdb`` and ``pg_ctl``, newest version first."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).parent if found else None


@contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL cluster of one's own; yields the URL of its maintenance database."""
    binaries = postgres_binaries()
    if binaries is None:
        raise FileNotFoundError(NO_POSTGRES)
    # The server refuses to run as root; the folder must then be readable by its user.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="hf-postgres-"))
    data, password, port = folder / "data", secrets.token_hex(8), free_port()
    secret = folder / "password"
    secret.write_text(password)
    if user:
        shutil.chown(folder, user)
        shutil.chown(secret, user)

    def call(*command: str) -> None:
        # Output goes to a file: the server inherits it, and a pipe would keep this call waiting.
        with (folder / "commands.log").open("ab") as log:
            done = subprocess.run(
                command, cwd="/", user=user, stdout=log, stderr=log, check=False, timeout=120
            )
        if done.returncode:
            text = (folder / "commands.log").read_text() + _text(folder / "server.log")
            raise RuntimeError(f"{command[0]} failed:\n{text}")

    try:
        call(
            *(str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-E", "UTF8"),
            *("-A", "scram-sha-256", f"--pwfile={secret}", "--locale=C.UTF-8", "--no-sync"),
        )
        # A test kills clients, never the machine.
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        control = str(binaries / "pg_ctl")
        log = str(folder / "server.log")
        call(control, "-D", str(data), "-w", "-l", log, "-o", options, "start")
        try:
            yield f"postgresql+psycopg2://postgres:{password}@127.0.0.1:{port}/postgres"
        finally:
            call(control, "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
