"""Loops and floods: of processes, memory, output, disk, descriptors; and games with the deadline."""

from __future__ import annotations

from tests.hostile.case import KILLED, MEMORY, OK, OUTPUT, TIMEOUT, TOOL_ERROR, Case

_LOOPS = {
    "while-true": "while True: pass",
    "except-everything": "while True:\n  try:\n    while True: pass\n  except BaseException: pass",
    "sum-in-c": "sum(iter(int, 1))",
    "all-in-c": "all(iter(lambda: 1, 0))",
    "regex-backtracking": "import re\nre.match(r'(a+)+$', 'a' * 64 + 'b')",
    "power-of-integers": "x = 7 ** (10 ** 9)",
    "sleep": "import time\ntime.sleep(3600)",
    "lock-never-released": "import threading\nl = threading.Lock()\nl.acquire()\nl.acquire()",
    "select-forever": "import select\nselect.select([], [], [])",
    "sigpause": "import signal\nsignal.pause()",
    "blocked-signals": "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass",
    "ignored-signals": "import signal\nfor n in (1, 2, 3, 13, 14, 15, 24): signal.signal(n, signal.SIG_IGN)\nwhile True: pass",
    "generator-of-itself": "def g():\n  while True: yield 1\nfor _ in g(): pass",
    "finaliser": "class A:\n  def __del__(self):\n    while True: pass\na = A()\ndel a",
    "numpy-in-c": "import numpy as np\na = np.ones((400, 400))\nwhile True: a = a @ a / 400",
    "sort-with-slow-key": "import time\nsorted(range(10**6), key=lambda x: time.sleep(1))",
    "read-of-nothing": "import os\nr, w = os.pipe()\nos.read(r, 1)",
    "hash-of-itself": "class A:\n  def __hash__(self):\n    while True: pass\n{A()}",
    "import-of-itself": "import importlib, sys\nwhile True: importlib.reload(sys.modules['json'])",
    "exit-handler": "import atexit\ndef f():\n  while True: pass\natexit.register(f)",
    "result-repr": "class A:\n  def __repr__(self):\n    while True: pass\nresult = A()",
}
_FORKS = {
    "fork-loop": "import os, time\nn = 0\nfor _ in range(40):\n  try:\n    p = os.fork()\n  except OSError: break\n"
    "  if p == 0:\n    time.sleep(1)\n    os._exit(0)\n  n += 1\nprint('BREACHED' if n > 30 else n)",
    "subprocess-loop": "import subprocess, sys\nn = 0\nfor _ in range(40):\n  try:\n"
    "    subprocess.Popen(['sleep', '1'])\n  except OSError: break\n  n += 1\n"
    "print('BREACHED' if n > 30 else n)",
    "posix-spawn": "import os\nn = 0\nfor _ in range(40):\n  try: os.posix_spawn('/bin/sleep', ['sleep', '1'], {})\n"
    "  except OSError: break\n  n += 1\nprint('BREACHED' if n > 30 else n)",
    "os-system": "import os\nn = sum(os.system('sleep 0.01') == 0 for _ in range(40))\nprint('BREACHED' if n > 30 else n)",
    "raw-clone": "import ctypes, os, platform\nc = ctypes.CDLL(None, use_errno=True)\nn = 0\nfor _ in range(40):\n"
    "  r = c.syscall(56 if platform.machine() == 'x86_64' else 220, 17, 0, 0, 0, 0)\n  if r == 0: os._exit(0)\n"
    "  if r < 0: break\n  n += 1\nprint('BREACHED' if n > 30 else n)",
    "raw-vfork-clone3": "import ctypes\nc = ctypes.CDLL(None, use_errno=True)\na = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17)\n"
    "import os\nr = c.syscall(435, a, 88)\nif r == 0: os._exit(0)\nprint('BREACHED' if r > 0 else 'refused')",
    "thread-bomb": "import threading, time\nn = 0\nfor _ in range(6000):\n  try:\n"
    "    threading.Thread(target=time.sleep, args=(0.2,), daemon=True).start()\n"
    "  except (RuntimeError, MemoryError): break\n  n += 1\nprint('BREACHED' if n >= 6000 else 'stopped')",
    "multiprocessing": "import multiprocessing as m\ntry:\n  p = [m.get_context('fork').Process(target=sum, args=([],)) for _ in range(40)]\n"
    "  [x.start() for x in p]\n  print('BREACHED')\nexcept OSError: print('refused')",
}
_MEMORY = {
    "one-allocation": "x = bytearray(3 * 10**9)\nprint('BREACHED')",
    "growing-list": "x = []\nfor _ in range(200): x.append(b'x' * 10**7)\nprint('BREACHED')",
    "string-doubling": "x = 'a'\nfor _ in range(31): x += x\nprint('BREACHED')",
    "numpy-array": "import numpy as np\nx = np.ones(300_000_000)\nprint('BREACHED')",
    "dictionary": "x = {}\nfor i in range(10**6): x[i] = bytes(4000)\nprint('BREACHED')",
    "mapping": "import mmap\nm = [mmap.mmap(-1, 10**8) for _ in range(40)]\nprint('BREACHED')",
    "integer": "x = 1 << (2 * 10**10)\nprint('BREACHED')",
    "recursion-of-lists": "x = [0]\nfor _ in range(31): x = [*x, *x]\nprint('BREACHED')",
}
_OUTPUT = {
    "print": "for _ in range(1000): print('x' * 100_000)\nprint('BREACHED')",
    "write-below-python": "import os\nfor _ in range(1000): os.write(1, b'x' * 100_000)\nprint('BREACHED')",
    "standard-error": "import sys\nfor _ in range(1000): sys.stderr.write('x' * 100_000)",
    "truncated-and-seeked": "import os\nfor n in range(1000):\n  os.lseek(1, n * 10**6, 0)\n  os.write(1, b'x' * 10**6)",
}
_DISK = {
    "many-files": "import time\nfor n in range(40):\n  with open(f'f{n}', 'wb') as f: f.write(b'x' * 10**6)\n"
    "time.sleep(600)",
    "many-entries": "import os, time\nfor n in range(12_000): os.mkdir(f'd{n}')\ntime.sleep(600)",
    "deep-directories": "import os, time\ntry:\n  for n in range(12_000):\n    os.mkdir('d')\n    os.chdir('d')\n"
    "except OSError: pass\ntime.sleep(600)",
    "large-files": "import time\nf = [open(f'f{n}', 'wb') for n in range(3)]\nfor g in f: g.write(b'x' * 3_900_000); g.flush()\ntime.sleep(600)",
    "allocated-not-written": "import os, time\nfor n in range(4): os.posix_fallocate(os.open(f'f{n}', os.O_CREAT | os.O_WRONLY), 0, 3_900_000)\n"
    "time.sleep(600)",
    "links": "import os, time\nopen('a', 'w').close()\nfor n in range(12_000): os.link('a', f'l{n}')\ntime.sleep(600)",
}
"""They would sleep beyond every time limit: nothing but the limit of their files may end them, however slow the disk is."""
_NO_FLOOD = {
    "files-below-the-limit": "import time\nfor n in range(6):\n  with open(f'f{n}', 'wb') as f: f.write(b'x' * 10**6)\ntime.sleep(0.6)",
    "entries-below-the-limit": "import os, time\nfor n in range(2_000): os.mkdir(f'd{n}')\ntime.sleep(0.6)",
    "largest-file": "f = open('f', 'wb')\nf.write(b'x' * 4 * 2**20)\nf.flush()\ntry:\n  f.write(b'x')\n  f.flush()\n  print('BREACHED')\n"
    "except OSError: print('refused')",
}
_DEADLINE = {
    "later-alarm": "import signal\nsignal.signal(14, lambda *a: None)\nsignal.setitimer(0, 0.1, 0.1)\nwhile True: pass",
    "changed-clock":
        "import time\ntime.time = time.monotonic = lambda: 0.0\nwhile True: pass",
    "thread-goes-on":
        "import threading\ndef f():\n  while True: pass\nthreading.Thread(target=f).start()",
    "nice-and-idle": "import os\ntry: os.nice(19)\nexcept OSError: pass\nwhile True: pass",
    "stop-itself": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "computes-and-stops-itself": "import os, signal, time\nwhile time.process_time() < 0.15: pass\nos.kill(os.getpid(), signal.SIGSTOP)",
    "many-threads-in-c":
        "import threading, zlib\nd = b'x' * 10**6\n"
        "for _ in range(2): threading.Thread(target=lambda: [zlib.crc32(d) for _ in iter(int, 1)]).start()",
    "interrupt-eater":
        "import signal\nsignal.signal(2, lambda *a: None)\nwhile True:\n  try: signal.pause()\n  except BaseException: pass",
}  # fmt: skip


def _floods() -> tuple[Case, ...]:
    cases = [
        Case(name, "loops", code, TIMEOUT)
        for name, code in _LOOPS.items()
        if name not in ("exit-handler", "result-repr")
    ]
    cases += [
        Case("exit-handler", "loops", _LOOPS["exit-handler"], OK, program=TIMEOUT, session=OK),
        Case("result-repr", "loops", _LOOPS["result-repr"], TIMEOUT, program=TIMEOUT, session=TIMEOUT),
    ]
    cases += [Case(name, "fork bombs", code, (*OK, *TOOL_ERROR)) for name, code in _FORKS.items()]
    cases += [Case(name, "memory floods", code, MEMORY, limit_s=5.0) for name, code in _MEMORY.items()]
    cases += [Case(name, "output floods", code, (*OUTPUT, *TOOL_ERROR)) for name, code in _OUTPUT.items()]
    cases += [Case(name, "disk floods", code, OUTPUT, limit_s=120.0) for name, code in _DISK.items()]
    cases += [Case(name, "disk floods", code, OK) for name, code in _NO_FLOOD.items()]
    cases += [_late(name, code) for name, code in _DEADLINE.items()]
    return tuple(cases)


def _late(name: str, code: str) -> Case:
    """Only a program waits for its threads; a tool has returned, and they end with its process."""
    threads = name in ("thread-goes-on", "many-threads-in-c")
    return Case(name, "deadline tricks", code, OK if threads else TIMEOUT, program=TIMEOUT)


_DESCRIPTORS = (
    Case("files", "descriptor floods",
         "f = [open('/dev/null') for _ in range(300)]\nprint('BREACHED')", TOOL_ERROR),
    Case("pipes", "descriptor floods", "import os\nf = [os.pipe() for _ in range(300)]\nprint('BREACHED')", TOOL_ERROR),
    Case("duplicates", "descriptor floods",
         "import os\nn = 0\ntry:\n  while n < 2000:\n    os.dup(1)\n    n += 1\nexcept OSError: pass\n"
         "print('BREACHED' if n > 200 else n)"),
    Case("epolls", "descriptor floods", "import select\nf = [select.epoll() for _ in range(300)]\nprint('BREACHED')", TOOL_ERROR),
    Case("closes-its-own", "descriptor floods", "import os\nos.closerange(0, 1000)", KILLED, program=(*OK, *TOOL_ERROR), session=KILLED),
    Case("higher-limit", "descriptor floods",
         "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (10**6, 10**6))\nprint('BREACHED')", TOOL_ERROR),
)  # fmt: skip
CASES = (*_floods(), *_DESCRIPTORS)
