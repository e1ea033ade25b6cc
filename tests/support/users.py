"""Whom a service runs as: the user of the tests, or one without rights, as its container does.

A user without rights needs an interpreter that others may read, and so does a sandbox that gives every call a user id of its
own. Where the tests' own lies in a closed home, one of the system's of the same version takes its place, with the tests'
packages.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mentor_sandbox.walls import privileges
from mentor_sandbox.walls.uids import closed_to_others
from tests.support.service_process import ROOT, ServiceProcess

NOBODY = 65534
_NAME = f"python{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class User:
    """How to start a process as somebody: its interpreter, and options of ``subprocess.Popen``."""

    name: str
    python: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @contextmanager
    def running(self, module: str, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[ServiceProcess]:
        """A service of this user's for the duration of the block."""
        service = ServiceProcess(module, *arguments, env=env, python=self.python, **self.options)
        try:
            yield service
        finally:
            service.stop()

    def folder(self, parent: Path) -> Path:
        """A new folder that is this user's."""
        made = Path(tempfile.mkdtemp(dir=parent))
        uid = self.options.get("user", os.geteuid())
        os.chown(made, uid, uid if uid == NOBODY else -1)
        made.chmod(0o755)
        return made


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, which pytest's are not."""
    with tempfile.TemporaryDirectory(prefix="mentor-open-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def users(folder: Path) -> list[User]:
    """The tests' own user, and one without rights where that is another.

    Root without capabilities stands in for it where others may not read this checkout: such a user owns even more.

    Args:
        folder: an open one, for an interpreter.
    """
    if os.geteuid() != 0:
        return [User("plain user", sys.executable)]
    python = open_python(folder)
    if python is None:
        return [User("root", sys.executable), User("plain user", sys.executable, {"preexec_fn": privileges.drop})]
    options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    return [User("root", python), User("plain user", python, options)]


def open_python(folder: Path) -> str | None:
    """An interpreter with the tests' packages that every user may run; None if there is none."""
    packages = Path(sysconfig.get_path("purelib"))
    if any(closed_to_others(path) is not None for path in (ROOT, packages, folder)):
        return None
    if closed_to_others(Path(sys.executable)) is None:
        return sys.executable
    for place in ("/usr/bin", "/usr/local/bin"):
        system = Path(place, _NAME)
        if system.exists() and closed_to_others(system) is None:
            return _environment(folder / "python", system, packages)
    return None


def _environment(folder: Path, system: Path, packages: Path) -> str | None:
    """A virtual environment of another interpreter on the same packages; None if they do not load there."""
    (folder / "bin").mkdir(parents=True)
    (folder / "lib" / _NAME).mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(system)
    (folder / "lib" / _NAME / "site-packages").symlink_to(packages)
    (folder / "pyvenv.cfg").write_text(f"home = {system.parent}\ninclude-system-site-packages = false\n")
    folder.chmod(0o755)
    python = str(folder / "bin" / "python")
    done = subprocess.run([python, "-c", "import mentor_sandbox.app, sympy"], capture_output=True)
    return python if done.returncode == 0 else None
