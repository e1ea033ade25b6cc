"""Zygote. A zygote's first function, of which the server's command starts it: warm up, walls that calls inherit, serve."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import gc
import importlib
import json
import marshal
import os
import socket
import sys

from mentor_sandbox.inside import child
from mentor_sandbox.inside.call import MODULE_NAME, guarded, perform
from mentor_sandbox.inside.template import Template
from mentor_sandbox.walls import landlock, privileges, seccomp
from mentor_sandbox.walls.libc import PR_SET_CHILD_SUBREAPER, prctl
from mentor_sandbox.wire.frames import frame, pack_result
from mentor_sandbox.wire.packets import CONFIG_BYTES, EXITED, PACKET
from mentor_sandbox.zygote import heap, tolerance
from mentor_sandbox.zygote.loop import Zygote


def main(arguments: list[str]) -> None:
    """Warm up, put on the walls that calls inherit, say hello, serve."""
    given = int(arguments[0])
    control = socket.socket(fileno=fcntl.fcntl(given, fcntl.F_DUPFD_CLOEXEC, landlock.FIRST_DESCRIPTOR))
    os.close(given)
    config = json.loads(control.recv(CONFIG_BYTES))
    sys.path[:] = [path for path in sys.path if path not in config["hidden"]]
    for module in config["modules"]:
        # A module that is not installed is missed by the call that needs it, not by the zygote.
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    tolerance.tolerate()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    privileges.drop(privileges.FOR_UIDS if config["uids"] else ())
    config["seccomp"] = seccomp.available()
    os.environ.clear()
    sys.argv[:] = [""]
    template = Template(config)
    if config["seccomp"]:
        seccomp.install(seccomp.common(config["network"], landlock.abi()))
    _rehearse(template)
    gc.collect()
    gc.disable()
    gc.freeze()
    heap.settle()
    zygote = Zygote(control, template)
    control.send(PACKET.pack(EXITED, 0, 0, 0))
    try:
        zygote.run()
    finally:
        zygote.end()


def _rehearse(template: Template) -> None:
    """Run what a child runs, as far as it can be undone: caches that are warm here need not be filled in every child."""
    request = {"code": None, "source": "def add(a, b):\n    return a + b\n", "arguments": {"a": 1, "b": 2}}
    forms = {"function": "add", "expression": None}, {"function": None, "expression": "[add(1, 2), 'a', {'b': 2.5}]"}
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for number in range(20):
            if "numpy" in sys.modules:
                sys.modules["numpy"].random.seed(0)
            if template.filter is not None and landlock.abi():
                os.close(template.readable.ruleset("/"))
            ours.sendall(frame(marshal.dumps(request)))
            given = marshal.loads(child.read_frame(theirs))
            child.begun(theirs)
            theirs.sendall(frame(pack_result(number, guarded(functools.partial(perform, given | forms[number % 2])))))
            ours.recv(1 << 16)
    del sys.modules[MODULE_NAME]
