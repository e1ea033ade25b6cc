"""What a call may leave for the next one: changed modules, files, links, threads, processes."""

from __future__ import annotations

from tests.hostile.case import KILLED, OK, OUTPUT, TOOL_ERROR, Case

_QUIET = (*OK, *TOOL_ERROR)
_PERSISTENCE = {
    "builtins": "import builtins\nbuiltins.hostile = 1\nbuiltins.len = lambda x: 42\nbuiltins.print = lambda *a: None",
    "json-module": "import json\njson.dumps = json.loads = lambda *a, **k: 'hostile'",
    "math-module": "import math\nmath.sqrt = lambda x: 42",
    "numpy": "import numpy\nnumpy.sum = numpy.ndarray\nnumpy.array = lambda *a: 'hostile'\nnumpy.random.seed(0)",
    "numpy-error-state": "import numpy\nnumpy.seterr(all='raise')\nnumpy.set_printoptions(precision=1)",
    "sys-modules": "import sys, types\nsys.modules['json'] = types.ModuleType('json')\nsys.modules['hostile'] = sys",
    "sys-path": "import sys\nopen('json.py', 'w').write('hostile = 1')\nsys.path.insert(0, '.')",
    "import-hook": "import sys\nclass F:\n  def find_spec(self, *a): raise RuntimeError('hostile')\nsys.meta_path.insert(0, F())",
    "path-hook": "import sys\nsys.path_hooks.insert(0, lambda p: 1 / 0)\nsys.path_importer_cache.clear()",
    "site": "import site, os\ntry:\n  os.makedirs(site.getusersitepackages())\nexcept OSError: pass\n"
    "try: open(site.getusersitepackages() + '/hostile.pth', 'w').write('import hostile')\nexcept OSError: pass",
    "startup-file": "import os\nos.environ['PYTHONSTARTUP'] = 'x.py'\nos.environ['LD_PRELOAD'] = './x.so'",
    "byte-code": "import json, importlib.util as u\ntry:\n  open(u.cache_from_source(json.__file__), 'wb').write(b'x')\n"
    "  print('BREACHED')\nexcept OSError: print('refused')",
    "standard-output": "import sys\nsys.stdout = sys.stderr = None",
    "excepthook": "import sys\nsys.excepthook = sys.displayhook = lambda *a: None",
    "recursion-limit": "import sys\nsys.setrecursionlimit(10**6)",
    "tracing": "import sys\nsys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)",
    "audit-hook": "import sys\nsys.addaudithook(lambda *a: None)",
    "integer-in-c": "import ctypes\nctypes.memset(id(7) + 24, 8, 1)",
    "integer-text-limit": "import sys\nsys.set_int_max_str_digits(0)",
    "class-of-exception": "import ctypes\nclass E(Exception): pass\nException.__doc__",
    "random-seed": "import random\nrandom.seed(0)\nrandom.random = lambda: 0.5",
    "locale-and-decimal": "import decimal\ndecimal.getcontext().prec = 2\nimport locale\nlocale.getlocale()",
    "warnings": "import warnings\nwarnings.showwarning = None\nwarnings.simplefilter('error')",
    "garbage-collector": "import gc\ngc.disable()\ngc.set_threshold(10**9)",
    "working-directory": "import os\nos.mkdir('deep')\nos.chdir('deep')",
    "mask": "import os\nos.umask(0)",
    "timer": "import signal\nsignal.setitimer(signal.ITIMER_REAL, 5)",
}
_LEFT = {
    "daemon-thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "double-fork": "import os, time\ntry:\n  if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n      time.sleep(3)\n    os._exit(0)\nexcept OSError: pass",
    "daemon-by-nohup": "import subprocess\ntry: subprocess.Popen(['sleep', '3'], start_new_session=True)\nexcept OSError: pass",
    "thread-that-writes": "import threading, time\ndef f():\n  while True:\n    print('x')\n    time.sleep(0.01)\nthreading.Thread(target=f, daemon=True).start()",
    "unjoined-pool": "from concurrent.futures import ThreadPoolExecutor\nimport time\np = ThreadPoolExecutor(4)\n[p.submit(time.sleep, 0.2) for _ in range(4)]",
    "open-files": "f = [open(str(n), 'w') for n in range(20)]",
    "locked-directory": "import os\nos.makedirs('a/b/c')\nopen('a/b/c/f', 'w').close()\nos.chmod('a/b', 0)\nos.chmod('a', 0)",
    "locked-at-birth": "import os\nos.umask(0)\nfor m in (0, 0o300, 0o500, 0o1777): os.mkdir(f'm{m}', m)\nos.mkdir('m192/in', 0o300)\n"
    "os.mkdir('m192/in/deep', 0)\nopen('m192/in/f', 'w').close()\nos.close(os.open('f', os.O_CREAT | os.O_WRONLY, 0))",
    "no-scratch-of-its-own": "import os\nd = os.getcwd()\ntry: os.rmdir(d)\nexcept OSError: pass",
    "odd-names": "for n in ('\\n', '-rf', ' ', 'a' * 255, '\\udcff', '*'): open(n, 'w').close()",
    "fifo": "import os\ntry: os.mkfifo('f')\nexcept OSError: pass",
    "sparse-file": "f = open('f', 'wb')\ntry:\n  f.truncate(10**12)\n  print('BREACHED')\nexcept OSError: print('refused')",
}
_LINKS = {
    "symbolic-to-canary": "import os\nos.symlink('@CANARY_FILE@', 'l')\ntry: print(open('l').read())\nexcept OSError: print('refused')",
    "symbolic-directory": "import os\nos.symlink('@CANARY_DIR@', 'd')\ntry: print(os.listdir('d'))\nexcept OSError: print('refused')",
    "hard-to-canary": "import os\ntry:\n  os.link('@CANARY_FILE@', 'h')\n  print(open('h').read())\nexcept OSError: print('refused')",
    "hard-out-of-scratch": "import os\nopen('x', 'w').close()\ntry:\n  os.link('x', '/tmp/hostile-link')\n  print('BREACHED')\nexcept OSError: print('refused')",
    "symbolic-loop": "import os\nos.symlink('a', 'b')\nos.symlink('b', 'a')\ntry: open('a')\nexcept OSError: print('refused')",
    "symbolic-to-root-left": "import os\nos.symlink('/', 'root')\nos.symlink('/etc', 'etc')",
    "symbolic-to-proc": "import os\nos.symlink('/proc/self/fd', 'fd')\ntry: print(os.listdir('fd'))\nexcept OSError: print('refused')",
    "rename-out": "import os\nopen('x', 'w').close()\ntry:\n  os.rename('x', '/tmp/hostile-renamed')\n  print('BREACHED')\nexcept OSError: print('refused')",
}
_EXITS = (
    Case("sys-exit-0", "exits", "import sys\nsys.exit(0)", TOOL_ERROR, program=OK),
    Case("sys-exit-3", "exits", "import sys\nsys.exit(3)", TOOL_ERROR),
    Case("sys-exit-text", "exits", "import sys\nsys.exit('bye')", TOOL_ERROR),
    Case("system-exit-raised", "exits", "raise SystemExit(4)", TOOL_ERROR),
    Case("quit", "exits", "import builtins\ngetattr(builtins, 'quit', exit if 'exit' in dir(builtins) else None)()", TOOL_ERROR, program=_QUIET),
    Case("os-exit-0", "exits", "import os\nos._exit(0)", KILLED, program=OK),
    Case("os-exit-1", "exits", "import os\nos._exit(1)", KILLED, program=TOOL_ERROR),
    Case("abort", "exits", "import os\nos.abort()", KILLED),
    Case("segmentation-fault", "exits", "import ctypes\nctypes.string_at(0)", KILLED),
    Case("bus-error", "exits", "import os, signal\nos.kill(os.getpid(), signal.SIGBUS)", KILLED),
    Case("kill-itself", "exits", "import os\nos.kill(os.getpid(), 9)", KILLED),
    Case("real-time-signal", "exits", "import os\nos.kill(os.getpid(), 45)", KILLED),
    Case("raise-signal", "exits", "import signal\nsignal.raise_signal(signal.SIGTERM)", KILLED),
    Case("libc-exit", "exits", "import ctypes\nctypes.CDLL(None).exit(0)", KILLED, program=OK),
    Case("raw-exit-group", "exits",
         "import ctypes, platform\nctypes.CDLL(None).syscall(231 if platform.machine() == 'x86_64' else 94, 0)", KILLED, program=OK),
    Case("exit-of-thread", "exits", "import os, threading\nt = threading.Thread(target=os._exit, args=(0,))\nt.start()\nt.join()", KILLED, program=OK),
    Case("exit-in-handler", "exits", "import atexit, os\natexit.register(os._exit, 7)", OK, program=TOOL_ERROR, session=OK),
    Case("exit-in-finaliser", "exits", "import os\nclass A:\n  def __del__(self): os._exit(0)\na = A()\ndel a", KILLED, program=OK),
    Case("keyboard-interrupt", "exits", "raise KeyboardInterrupt", TOOL_ERROR),
    Case("generator-exit", "exits", "raise GeneratorExit", TOOL_ERROR),
    Case("exception-without-text", "exits",
         "class E(BaseException):\n  def __str__(self): raise self\n  __repr__ = __str__\nraise E", TOOL_ERROR),
    Case("alarm", "exits", "import signal, time\nsignal.alarm(1)\nsignal.setitimer(0, 0.05)\ntime.sleep(0.5)", KILLED),
    Case("fatal-error", "exits", "import ctypes\nctypes.pythonapi.Py_FatalError(b'hostile')", KILLED),
    Case("broken-thread-state", "exits", "import ctypes\nctypes.pythonapi.PyEval_SaveThread()\nctypes.string_at(0)", KILLED),
)  # fmt: skip
_RECURSION = (
    Case("function", "deep recursion", "def f(): return f()\nf()", TOOL_ERROR),
    Case("higher-limit", "deep recursion", "import sys\nsys.setrecursionlimit(10**7)\ndef f(n): return [f(n + 1)]\nf(0)", ("killed", "memory", "tool_error", "timeout")),
    Case("representation", "deep recursion", "x = []\nfor _ in range(10**5): x = [x]\nrepr(x)", (*TOOL_ERROR, *KILLED)),
    Case("compiler", "deep recursion", "compile('(' * 10**4 + ')' * 10**4, 'x', 'eval')", (*TOOL_ERROR, *KILLED, "memory")),
    Case("parser-of-operators", "deep recursion", "eval('-' * 10**5 + '1')", (*TOOL_ERROR, *KILLED, "memory")),
    Case("json", "deep recursion", "import json\njson.loads('[' * 10**5)", TOOL_ERROR),
    Case("pickle", "deep recursion", "import pickle\nx = []\nfor _ in range(10**5): x = [x]\npickle.dumps(x)", (*TOOL_ERROR, *KILLED)),
    Case("deallocation", "deep recursion", "x = None\nfor _ in range(2 * 10**5): x = (x,)\ndel x"),
    Case("getattr", "deep recursion", "class A:\n  def __getattr__(self, n): return getattr(self, n + 'x')\nA().a", TOOL_ERROR),
)  # fmt: skip


def _cases() -> tuple[Case, ...]:
    groups = {"persistence": _PERSISTENCE, "leftovers": _LEFT, "links": _LINKS}
    cases = [Case(name, klass, code, _QUIET) for klass, group in groups.items() for name, code in group.items()]
    return (*(_adjusted(case) for case in cases), *_EXITS, *_RECURSION)


def _adjusted(case: Case) -> Case:
    """Where a change spoils the very call that made it."""
    if case.id == "thread-that-writes":
        return Case(case.id, case.klass, case.code, (*OK, *OUTPUT))
    if case.id in ("integer-in-c", "builtins"):
        spoilt = ("ok", "tool_error", "killed")
        return Case(case.id, case.klass, case.code, spoilt, session=(*spoilt, "timeout"))
    if case.id == "standard-output":
        return Case(case.id, case.klass, case.code, _QUIET, program=_QUIET)
    return case


CASES = _cases()
