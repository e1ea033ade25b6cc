"""What a file is besides its content: mode, owner, times, attributes, flags; leases, owners and watches of descriptors.

Landlock governs none of it and the kernel asks for the owner alone. Every family is tried in every form that the kernel
has (by path, by descriptor, relative to a directory, the newest too), on the folder above, on the sandbox's lock, on the
interpreter, on what the service's user may own besides, and on the call's own directory. Harmless by design: modes are set
to what they are, times to now.
"""

from __future__ import annotations

import platform

from mentor_sandbox.walls.syscalls import NUMBERS
from tests.hostile.case import OK, Case, attempt

_NEWEST = {"fchmodat2": 452, "setxattrat": 463, "removexattrat": 466, "file_setattr": 469}
"""Beyond what the sandbox knows by name, the same on every architecture."""
_TRY = """
import ctypes, json, os, struct
c = ctypes.CDLL(None, use_errno=True)
now = ctypes.create_string_buffer(struct.pack('4q', 0, 0x3fffffff, 0, 0x3fffffff))
word = ctypes.create_string_buffer(bytes(256))
us, at, dot = os.getuid(), -100, 0x1000
try:
    own = os.open('own', os.O_CREAT | os.O_RDWR)
    os.makedirs('folder', exist_ok=True)
except OSError: own = 1
paths = [b'..', b'../lock', b'.', b'own', b'folder', json.__file__.encode(), os.path.dirname(json.__file__).encode(),
         b'@CANARY_FILE@', b'@CANARY_DIR@', b'/dev/null', b'/tmp', b'/']
files = [own, os.open(json.__file__, os.O_RDONLY), os.open('.', os.O_RDONLY), os.open('..', os.O_PATH), os.open('/', os.O_PATH), 1, 3]
def mode(p):
    try: return os.stat(p).st_mode & 0o7777
    except OSError: return 0o700
def tried(r, what):
    if r >= 0: print('BREACHED', what)
"""
# By what, and the arguments; `p` is a path and `f` a descriptor.
_CHANGES = {
    "chmod": ("p", "p, mode(p)"),
    "fchmod": ("f", "f, mode(f)"),
    "fchmodat": ("p", "at, p, mode(p)"),
    "fchmodat2": ("f", "f, b'', mode(f), dot"),
    "chown": ("p", "p, us, -1"),
    "lchown": ("p", "p, us, -1"),
    "fchown": ("f", "f, us, -1"),
    "fchownat": ("f", "f, b'', us, -1, dot"),
    "utime": ("p", "p, 0"),
    "utimes": ("p", "p, 0"),
    "futimesat": ("p", "at, p, 0"),
    "utimensat": ("p", "at, p, now, 0"),
    "setxattr": ("p", "p, b'user.hostile', b'x', 1, 0"),
    "lsetxattr": ("p", "p, b'user.hostile', b'x', 1, 0"),
    "fsetxattr": ("f", "f, b'user.hostile', b'x', 1, 0"),
    "setxattrat": ("f", "f, b'', dot, b'user.hostile', word, 16"),
    "removexattr": ("p", "p, b'user.hostile'"),
    "lremovexattr": ("p", "p, b'user.hostile'"),
    "fremovexattr": ("f", "f, b'user.hostile'"),
    "removexattrat": ("f", "f, b'', dot, b'user.hostile'"),
    "file_setattr": ("f", "f, b'', word, 24, dot"),
    "inotify_init": ("f", ""),
    "inotify_init1": ("f", "0"),
    "inotify_add_watch": ("p", "own, p, 0x100"),
}
_BY_ANOTHER_WAY = {
    "utimensat-of-a-descriptor": ("utimensat", "f", "f, 0, now, 0"),
    "utimensat-to-now": ("utimensat", "p", "at, p, 0, 0"),
    "fchmodat-by-proc": ("fchmodat", "f", "at, b'/proc/self/fd/%d' % f, mode(f)"),
    "access-list": ("setxattr", "p", "p, b'system.posix_acl_access', word, 4, 0"),
    "capability": ("setxattr", "p", "p, b'security.capability', word, 20, 0"),
}
_IOCTLS = {
    "set-flags": (0x40086602, "word"),
    "set-project": (0x401C5820, "word"),
    "set-version": (0x40087602, "word"),
    "encryption-policy": (0x800C6613, "word"),
    "verity": (0x40806685, "word"),
    "clone-into": (0x40049409, "files[1]"),
    "owner-of-socket": (0x8902, "word"),
    "owner-of-descriptor": (0x8901, "word"),
    "signals-of-descriptor": (0x5452, "word"),
    "type-into-terminal": (0x5412, "b'x'"),
}
_FCNTLS = {
    "lease-to-write": (1024, "1"),
    "lease-to-read": (1024, "0"),
    "notification-of-directory": (1026, "4"),
    "owner": (8, "os.getppid()"),
    "owner-by-structure": (15, "word"),
    "signal-of-choice": (10, "9"),
}


def _number(name: str) -> int | None:
    return _NEWEST.get(name) or NUMBERS[name][0 if platform.machine() == "x86_64" else 1]


def _tried(number: int, by: str, arguments: str) -> str:
    each = {"p": "for p in paths", "f": "for f in files"}[by]
    call = f"c.syscall({', '.join(filter(None, (str(number), arguments)))})"
    return f"{_TRY}{each}: tried({call}, {by})\nprint('done')"


_BY_PYTHON = {
    "mode-of-the-root": attempt("os.chmod('..', 0)", then="import os"),
    "mode-of-the-root-by-name": attempt("os.chmod(os.path.dirname(os.getcwd()), 0)", then="import os"),
    "mode-of-the-root-by-link": attempt("os.chmod('up', 0)", then="import os\nos.symlink('..', 'up')"),
    "mode-of-its-own-directory": attempt("os.chmod('.', 0)", then="import os"),
    "lock-of-the-server": attempt("fcntl.flock(os.open('../lock', os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)",
                                  then="import fcntl, os"),
    "root-renamed": attempt("os.rename(os.path.dirname(os.getcwd()), os.path.dirname(os.getcwd()) + '-gone')", then="import os"),
    "lock-moved-in": attempt("os.rename('../lock', 'lock')", then="import os"),
    "entry-in-the-root": attempt("os.mkdir('../call-of-mine')", then="import os"),
}  # fmt: skip


def _cases() -> tuple[Case, ...]:
    forms = {name: (name, *form) for name, form in _CHANGES.items()} | _BY_ANOTHER_WAY
    found = {name: (_number(call), by, arguments) for name, (call, by, arguments) in forms.items()}
    cases = [
        Case(name, "metadata", _tried(n, by, given), OK) for name, (n, by, given) in found.items() if n is not None
    ]
    for kind, table in {"ioctl": _IOCTLS, "fcntl": _FCNTLS}.items():
        number = _number(kind)
        assert number is not None
        for name, (request, argument) in table.items():
            cases.append(Case(name, "metadata", _tried(number, "f", f"f, {request}, {argument}"), OK))
    cases += [Case(name, "metadata", code, OK) for name, code in _BY_PYTHON.items()]
    return tuple(cases)


CASES = _cases()
