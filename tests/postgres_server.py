"""A real PostgreSQL for tests: a cluster of its own, on a free port of this machine, gone afterwards.

It refuses to run as root, so root has the user `postgres` or `nobody` run it.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tests.dagster_server import wait_for

USER = "neurons"


@dataclass(frozen=True)
class Postgres:
    port: int
    password: str
    database: str = "postgres"

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{self.database}"

    def with_new_database(self) -> "Postgres":
        """The same server, with an empty database."""
        import psycopg

        name = f"test_{secrets.token_hex(8)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return replace(self, database=name)


def programs() -> Path | None:
    """The folder of the newest `initdb` and `postgres`, if they are installed; Debian puts them into no PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def running_postgres(programs: Path) -> Iterator[Postgres]:
    """The server, until the end of the block."""
    user, group = _who_runs_it()
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:  # its user cannot look into pytest's own folders
        folder = Path(name)
        server = Postgres(_free_port(), secrets.token_hex(8))
        (folder / "password").write_text(server.password, encoding="utf-8")
        for path in (folder, folder / "password"):
            os.chown(path, user, group)
        options = ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={folder / 'password'}", "--no-sync"]
        subprocess.run(
            [str(programs / "initdb"), "-D", str(folder / "data"), "--encoding=UTF8", "--locale=C", *options],
            check=True,
            capture_output=True,
            cwd=folder,
            user=user,
            group=group,
        )
        log = folder / "log"
        command = [str(programs / "postgres"), "-D", str(folder / "data"), "-k", name, "-p", str(server.port)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"],
                cwd=folder,
                stdout=output,
                stderr=output,
                start_new_session=True,
                user=user,
                group=group,
            )
        try:
            wait_for(lambda: _answers(server) or process.poll() is not None, 120, log.read_text)
            assert process.poll() is None, log.read_text()
            yield server
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.send_signal(signal.SIGQUIT)  # at once: nothing of it is needed any more
        process.wait(timeout=60)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _answers(server: Postgres) -> bool:
    import psycopg

    try:
        psycopg.connect(server.url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _who_runs_it() -> tuple[int, int]:
    """User and group: one's own, unless root has to step down."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    users = {user.pw_name: user for user in pwd.getpwall()}
    user = users.get("postgres") or users["nobody"]
    return user.pw_uid, user.pw_gid


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
