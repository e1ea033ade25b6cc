"""What only a kernel can refuse: signals, tracing, other processes' memory, privileges, rarely used system calls."""

from __future__ import annotations

import platform

from mentor_sandbox.walls.syscalls import NUMBERS
from tests.hostile.case import KILLED, OK, TOOL_ERROR, Case, attempt

_SIGNALS = {
    "kill-parent": attempt("os.kill(os.getppid(), 0)", then="import os"),
    "kill-server": attempt("os.kill(@SERVER_PID@, 0)", then="import os"),
    "kill-init": attempt("os.kill(1, 0)", then="import os"),
    "kill-everyone-else": attempt("os.kill(-1, 0)", then="import os"),
    "kill-parents-group": attempt("os.killpg(os.getpgid(os.getppid()), 0)", then="import os"),
    "stop-neighbours":
        "import os\nfor p in range(os.getpid() - 20, os.getpid() + 20):\n  if p == os.getpid(): continue\n"
        "  try: os.kill(p, 0)\n  except OSError: continue\n  print('BREACHED')",
    "queue-to-parent":
        "import ctypes, os\nc = ctypes.CDLL(None, use_errno=True)\nprint('BREACHED' if c.sigqueue(os.getppid(), 0, 0) == 0 else 'refused')",
    "pidfd-of-parent":
        "import os\ntry:\n  f = os.pidfd_open(os.getppid())\n  print('BREACHED')\nexcept OSError: print('refused')",
    "parent-death-signal":
        "import ctypes\nprint('BREACHED' if ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0 else 'refused')",
    "owner-of-pipe": attempt("r, w = os.pipe()", "fcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())", "fcntl.fcntl(r, fcntl.F_SETSIG, 9)",
                             "fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC)", "os.kill(os.getppid(), 0)", then="import fcntl, os"),
}  # fmt: skip
# What is called, with which arguments; a result of 0 or more is a breach.
_TRACING = {
    "traceme": ("ptrace", "0, 0, 0, 0"),
    "attach-parent": ("ptrace", "16, os.getppid(), 0, 0"),
    "seize-server": ("ptrace", "0x4206, @SERVER_PID@, 0, 0"),
    "read-parent": ("process_vm_readv", "os.getppid(), v, 1, v, 1, 0"),
    "write-parent": ("process_vm_writev", "os.getppid(), v, 1, v, 1, 0"),
    "read-server": ("process_vm_readv", "@SERVER_PID@, v, 1, v, 1, 0"),
    "compare": ("kcmp", "os.getpid(), os.getppid(), 0, 0, 0"),
    "take-descriptor": ("pidfd_getfd", "3, 3, 0"),
    "advise-memory": ("process_madvise", "3, v, 1, 4, 0"),
}
_KERNEL = {
    "io-uring": ("io_uring_setup", "8, b"),
    "io-uring-enter": ("io_uring_enter", "3, 1, 1, 0, 0, 0"),
    "aio": ("io_setup", "8, b"),
    "keyctl": ("keyctl", "0, -3, 1"),
    "add-key": ("add_key", "b'user', b'hostile', b'x', 1, -2"),
    "request-key": ("request_key", "b'user', b'hostile', 0, -2"),
    "bpf": ("bpf", "0, b, 48"),
    "userfaultfd": ("userfaultfd", "1"),
    "perf": ("perf_event_open", "b, 0, -1, -1, 0"),
    "personality": ("personality", "0x0040000"),
    "kexec": ("kexec_load", "0, 0, 0, 0"),
    "module": ("finit_module", "0, b'', 0"),
    "syslog": ("syslog", "10, 0, 0"),
    "reboot": ("reboot", "0xfee1dead, 672274793, 0, 0"),
    "acct": ("acct", "0"),
    "clock": ("clock_settime", "0, 0"),
    "host-name": ("sethostname", "0, 1"),
    "quota": ("quotactl", "0x80000100, 0, 0, 0"),
    "fanotify": ("fanotify_init", "0, 0"),
    "file-handle": ("open_by_handle_at", "-100, b, 0"),
    "shared-memory": ("shmget", "0x1234, 4096, 0o1666"),
    "message-queue": ("msgget", "0x1234, 0o1666"),
    "semaphores": ("semget", "0x1234, 1, 0o1666"),
    "posix-queue": ("mq_open", "b'hostile', 0o102, 0o666, 0"),
}
_ESCAPES = {
    "user-namespace": ("unshare", "0x10000000"),
    "mount-namespace": ("unshare", "0x00020000"),
    "pid-namespace": ("unshare", "0x20000000"),
    "network-namespace": ("unshare", "0x40000000"),
    "join-namespace": ("setns", "3, 0"),
    "mount": ("mount", "b'tmpfs', b'/tmp', b'tmpfs', 0, 0"),
    "bind-mount": ("mount", "b'/', b'.', 0, 4096, 0"),
    "open-tree": ("open_tree", "-100, b'/', 1"),
    "chroot": ("chroot", "b'.'"),
    "pivot-root": ("pivot_root", "b'.', b'.'"),
    "device-node": ("mknodat", "-100, b'sda', 0o60666, 0x800"),
    "exec": ("execve", "b'/bin/true', 0, 0"),
    "setuid-root": ("setuid", "0"),
    "setgid-root": ("setgid", "0"),
    "setresuid-root": ("setresuid", "0, 0, 0"),
    "setgroups": ("setgroups", "1, b"),
    "more-capabilities": ("capset", "h, f"),
    "looser-filter": ("seccomp", "1, 0, 0"),
    "higher-priority": ("setpriority", "0, @SERVER_PID@, 19"),
    "limits-of-parent": ("prlimit64", "os.getppid(), 7, b, 0"),
    "affinity-of-parent": ("sched_setaffinity", "os.getppid(), 128, f"),
}


def _called(name: str, arguments: str) -> str | None:
    number = NUMBERS[name][0 if platform.machine() == "x86_64" else 1]
    if number is None:
        return None
    return (
        "import ctypes, os\nc = ctypes.CDLL(None, use_errno=True)\nb = ctypes.create_string_buffer(512)\n"
        "f = ctypes.create_string_buffer(b'\\xff' * 128)\nh = ctypes.create_string_buffer(bytes([0x22, 5, 8, 0x20, 0, 0, 0, 0]))\n"
        "v = (ctypes.c_uint64 * 2)(ctypes.addressof(b), 8)\n"
        f"r = c.syscall({', '.join(filter(None, (str(number), arguments)))})\n"
        "print('BREACHED' if r >= 0 else f'refused {ctypes.get_errno()}')"
    )


_SETUID = (
    Case("setuid-bit", "setuid attempts",
         "import os\nopen('x', 'w').write('#!/bin/sh\\nid')\ntry: os.chmod('x', 0o4755)\nexcept OSError: pass\n"
         "try:\n  os.execv('./x', ['x'])\nexcept OSError: print('refused')"),
    Case("setuid-program", "setuid attempts", attempt("subprocess.run(['/bin/su', '-c', 'id'], timeout=1)", then="import subprocess")),
    Case("os-setuid", "setuid attempts", attempt("os.setuid(0)", "os.setuid(12345)", then="import os")),
    Case("os-setreuid", "setuid attempts", attempt("os.setreuid(0, 12345)", then="import os")),
    Case("chown-to-root", "setuid attempts",
         "import os\nopen('x', 'w').close()\ntry:\n  os.chown('x', 12345, 12345)\n  print('BREACHED')\nexcept OSError: print('refused')"),
    Case("capabilities-kept", "setuid attempts",
         "import ctypes, struct\nc = ctypes.CDLL(None)\nh = ctypes.create_string_buffer(struct.pack('=Ii', 0x20080522, 0))\n"
         "d = ctypes.create_string_buffer(24)\nc.capget(h, d)\nprint('BREACHED' if any(d.raw) else 'none')"),
    Case("new-privileges", "setuid attempts",
         "import ctypes\nprint('none' if ctypes.CDLL(None).prctl(39, 0, 0, 0, 0) == 1 else 'BREACHED')"),
)  # fmt: skip
_ARCHITECTURE = (
    Case("x32-call", "kernel interfaces",
         # A container's own seccomp profile kills for a foreign ABI where the sandbox's filter refuses.
         "import ctypes\nr = ctypes.CDLL(None).syscall(0x40000000 + 39)\nprint('BREACHED' if r > 0 else 'refused')",
         (*KILLED, *OK)),
    Case("unknown-call", "kernel interfaces",
         "import ctypes\nr = ctypes.CDLL(None).syscall(462, 0, 0, 0, 0, 0)\nprint('BREACHED' if r >= 0 else 'refused')"),
    Case("machine-code", "kernel interfaces",
         "import ctypes, mmap, platform\nif platform.machine() == 'x86_64':\n"
         "  m = mmap.mmap(-1, 4096, prot=7)\n"
         "  m.write(bytes.fromhex('48c7c06500000048c7c70000000031f631d24d31d20f05c3'))\n"
         "  f = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\n"
         "  print('BREACHED' if f() == 0 else 'refused')"),
    Case("32-bit-call", "kernel interfaces",
         "import ctypes, mmap, platform\nif platform.machine() == 'x86_64':\n"
         "  m = mmap.mmap(-1, 4096, prot=7)\n  m.write(bytes.fromhex('b81a000000bb00000000cd80c3'))\n"
         "  f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\n"
         "  print('BREACHED' if f() == 0 else 'refused')", (*KILLED, *OK)),
)  # fmt: skip


def _cases() -> tuple[Case, ...]:
    cases = [Case(name, "signals", code, (*OK, *TOOL_ERROR)) for name, code in _SIGNALS.items()]
    tables = {"tracing": _TRACING, "kernel interfaces": _KERNEL, "escapes": _ESCAPES}
    for klass, table in tables.items():
        for name, (call, arguments) in table.items():
            code = _called(call, arguments)
            if code is not None:
                cases.append(Case(name, klass, code))
    return (*cases, *_SETUID, *_ARCHITECTURE)


CASES = _cases()
