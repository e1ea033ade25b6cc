"""Reading what is not its own: environment, files, other calls, /proc, frames of the service; and the network."""

from __future__ import annotations

from tests.hostile.case import OK, TOOL_ERROR, Case, attempt

_QUIET = (*OK, *TOOL_ERROR)
_ENVIRONMENT = {
    "os-environ": "import os\nresult = dict(os.environ)\nprint(result)",
    "getenv-in-c": "import ctypes\nc = ctypes.CDLL(None)\nc.getenv.restype = ctypes.c_char_p\nprint(c.getenv(b'HOSTILE_CANARY'))",
    "environ-pointer": "import ctypes\nc = ctypes.CDLL(None)\np = ctypes.POINTER(ctypes.c_char_p).in_dll(c, 'environ')\n"
    "i = 0\nwhile p and p[i]:\n  print(p[i])\n  i += 1",
    "proc-self-environ": "print(open('/proc/self/environ').read())",
    "parent-environ": "import os\nprint(open(f'/proc/{os.getppid()}/environ').read())",
    "server-environ": "print(open('/proc/@SERVER_PID@/environ').read())",
    "everyone-environ": "import glob\nfor p in glob.glob('/proc/[0-9]*/environ'):\n  try: print(open(p).read())\n  except OSError: pass",
    "stack-above-main": "import ctypes, re\ntry:\n  m = open('/proc/self/maps').read()\n"
    "  a, b = re.search(r'([0-9a-f]+)-([0-9a-f]+) .*stack', m).groups()\n"
    "  print(ctypes.string_at(int(b, 16) - 16384, 16383))\nexcept OSError as e: print(e)",
    "posix-module": "import posix\nprint(posix.environ)",
}
_FILES = {
    "canary": "print(open('@CANARY_FILE@').read())",
    "canary-by-descriptor": "import os\nprint(os.read(os.open('@CANARY_FILE@', os.O_RDONLY), 100))",
    "canary-directory": "import os\nprint(os.listdir('@CANARY_DIR@'))",
    "canary-mapped": "import mmap, os\nf = os.open('@CANARY_FILE@', os.O_RDONLY)\nprint(mmap.mmap(f, 0, prot=mmap.PROT_READ)[:])",
    "canary-by-numpy": "import numpy\nprint(numpy.fromfile('@CANARY_FILE@', dtype='u1').tobytes())",
    "canary-in-c": "import ctypes\nc = ctypes.CDLL(None)\nf = c.open(b'@CANARY_FILE@', 0)\nb = ctypes.create_string_buffer(200)\n"
    "c.read(f, b, 199)\nprint(b.value)",
    "canary-by-openat2": "import ctypes, struct\nc = ctypes.CDLL(None)\nh = ctypes.create_string_buffer(struct.pack('QQQ', 0, 0, 0))\n"
    "f = c.syscall(437, -100, b'@CANARY_FILE@', h, 24)\nb = ctypes.create_string_buffer(200)\nc.read(f, b, 199)\nprint(b.value)",
    "canary-by-sendfile": "import os\nf = os.open('@CANARY_FILE@', os.O_RDONLY)\nos.sendfile(1, f, 0, 100)",
    "canary-as-module": "import importlib.util as u\ns = u.spec_from_file_location('x', '@CANARY_FILE@')\n"
    "try: s.loader.exec_module(u.module_from_spec(s))\nexcept AttributeError: print(open('@CANARY_FILE@').read())",
    "canary-as-linecache": "import linecache\nprint(linecache.getlines('@CANARY_FILE@'))",
    "canary-as-traceback": "exec(compile('1/0', '@CANARY_FILE@', 'exec'))",
    "canary-as-library": "import ctypes\nctypes.CDLL('@CANARY_FILE@')",
    "canary-as-zip": "import sys\nsys.path.insert(0, '@CANARY_FILE@')\nimport zipfile\nprint(zipfile.ZipFile('@CANARY_FILE@'))",
    "canary-by-magic-link": "import os\nos.symlink('@CANARY_FILE@', 'l')\nprint(open('l').read())",
    "canary-by-root-link": "print(open('/proc/self/root@CANARY_FILE@').read())",
    "canary-by-parent-cwd": "import os\nprint(open(f'/proc/{os.getppid()}/root@CANARY_FILE@').read())",
    "passwords": "print(open('/etc/shadow').read())\nprint('BREACHED')",
    "users": attempt("open('/etc/passwd').read()"),
    "home": attempt("import os", "os.listdir('/root')"),
    "write-canary": attempt("open('@CANARY_FILE@', 'a').write('x')"),
    "write-temporary": attempt("open('/tmp/hostile-was-here', 'w').write('x')"),
    "write-shared-memory": attempt("open('/dev/shm/hostile-was-here', 'w').write('x')"),
    "write-interpreter": attempt("import json", "open(json.__file__, 'a')"),
    "write-site-packages": attempt("import sysconfig", "open(sysconfig.get_path('purelib') + '/hostile.pth', 'w')"),
    "truncate-canary": attempt("import os", "os.truncate('@CANARY_FILE@', 4)"),
    "chmod-canary": attempt("import os", "os.chmod('@CANARY_FILE@', 0o777)", "open('@CANARY_FILE@').read()"),
    "rename-canary": attempt("import os", "os.rename('@CANARY_FILE@', 'mine')"),
    "raw-disk": attempt(
        "import os, glob", "[os.open(p, os.O_RDONLY) for p in glob.glob('/dev/[svx]d*') or ['/dev/sda']]"
    ),
    "kernel-memory": attempt("open('/dev/mem', 'rb').read(1)"),
    "kernel-messages": attempt("open('/dev/kmsg').read(1)"),
    "cgroup-escape": attempt("open('/sys/fs/cgroup/release_agent', 'w').write('/x')"),
    "docker-socket": "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('/var/run/docker.sock')\nprint('BREACHED')",
}
_OTHERS = {
    "scratch-siblings": attempt("import os", "print(os.listdir('..'))"),
    "scratch-by-glob": "import glob\nfor p in glob.glob('/tmp/**/secret-of-victim', recursive=True):\n"
    "  try: print(open(p).read())\n  except OSError: pass",
    "scratch-by-proc": "import glob\nfor p in glob.glob('/proc/[0-9]*/cwd/secret-of-victim'):\n"
    "  try: print(open(p).read())\n  except OSError: pass",
    "descriptors-of-others": "import glob, os\nfor p in glob.glob('/proc/[0-9]*/fd/*'):\n  try:\n    if 'victim' in os.readlink(p): print(open(p).read())\n"
    "  except OSError: pass",
    "output-of-others": "import glob\nfor p in glob.glob('/proc/[0-9]*/fd/1'):\n  try:\n    f = open(p)\n    f.seek(0)\n    print(f.read(10000))\n"
    "  except OSError: pass",
    "memory-of-others": "import os\nfor p in os.listdir('/proc') if os.access('/proc', os.R_OK) else []:\n"
    "  if not p.isdigit() or p == str(os.getpid()): continue\n  try:\n"
    "    for l in open(f'/proc/{p}/maps'):\n      if 'heap' in l:\n        a, b = (int(x, 16) for x in l.split()[0].split('-'))\n"
    "        m = open(f'/proc/{p}/mem', 'rb')\n        m.seek(a)\n        d = m.read(min(b - a, 1 << 22))\n"
    "        i = d.find(b'canary-')\n        if i >= 0: print(d[i:i + 40])\n  except (OSError, ValueError): pass",
    "memory-of-next-pids": "import os\nfor p in range(os.getpid() - 20, os.getpid() + 20):\n  if p == os.getpid(): continue\n  try:\n"
    "    open(f'/proc/{p}/mem', 'rb')\n    print('BREACHED')\n  except OSError: pass",
    "heap-left-by-earlier-calls": "x = bytearray(50_000_000)\nprint(b'canary-' in x)\nimport ctypes\nb = ctypes.create_string_buffer(10**6)\n"
    "import re\nprint(re.findall(rb'canary-[a-z]+-[0-9a-f]+', b.raw))",
    "request-of-others-by-gc": "import gc\nfor o in gc.get_objects():\n  try:\n    if isinstance(o, (dict, list, tuple)) and 'canary-' in str(o)[:10**5]: print(str(o)[:2000])\n"
    "  except BaseException: pass",
}
_PROC = {
    "own-maps": attempt("open('/proc/self/maps').read()", "open('/proc/1/maps').read()"),
    "own-memory": attempt("open('/proc/self/mem', 'r+b')"),
    "parent-memory": attempt("import os", "open(f'/proc/{os.getppid()}/mem', 'rb')"),
    "server-memory": attempt("open('/proc/@SERVER_PID@/mem', 'rb')"),
    "server-command": attempt("open('/proc/@SERVER_PID@/cmdline').read()"),
    "server-stack": attempt("open('/proc/@SERVER_PID@/stack').read()"),
    "server-descriptors": attempt("import os", "os.listdir('/proc/@SERVER_PID@/fd')"),
    "init-environ": attempt("open('/proc/1/environ').read()"),
    "lower-oom-score": attempt("open('/proc/self/oom_score_adj', 'w').write('-1000')"),
    "raise-others-oom-score": attempt("open('/proc/@SERVER_PID@/oom_score_adj', 'w').write('1000')"),
    "sysrq": attempt("open('/proc/sysrq-trigger', 'w')"),
    "core-pattern": attempt("open('/proc/sys/kernel/core_pattern', 'w')"),
    "mounts": attempt("print(open('/proc/self/mountinfo').read())"),
    "network-table": attempt("print(open('/proc/net/tcp').read())"),
}
_FRAMES = {
    "frame-walk": "import sys\nf = sys._getframe()\nwhile f:\n  for k, v in {**f.f_globals, **f.f_locals}.items():\n"
    "    if 'canary-' in repr(v)[:5000]: print(repr(v)[:2000])\n  f = f.f_back",
    "frames-of-threads": "import sys\nfor f in sys._current_frames().values(): print(str({**f.f_locals})[:3000])",
    "gc-to-settings": "import gc\nfor o in gc.get_objects():\n  n = type(o).__name__\n  if 'Settings' in n or n in ('Sandbox', 'Service', 'Registry'): print('BREACHED', n)",
    "traceback-walk": "try: 1/0\nexcept Exception as e:\n  f = e.__traceback__.tb_frame\n  while f:\n    print(sorted(f.f_locals)[:50])\n"
    "    r = f.f_locals.get('request')\n    if r and 'canary' in repr(r): print(repr(r)[:3000])\n    f = f.f_back",
    "modules-of-the-service": "import sys\nbad = [m for m in sys.modules if m in ('mentor_sandbox.supervise.engine', 'mentor_sandbox.settings', 'fastapi', 'grpc')]\n"
    "print('BREACHED' if bad else 'none')",
    "import-the-service": "try:\n  from mentor_sandbox.settings import SandboxSettings\n  print('BREACHED')\nexcept ImportError: print('refused')",
    "subclasses": "for c in ().__class__.__base__.__subclasses__():\n  if c.__module__.startswith(('fastapi', 'grpc', 'starlette')): print('BREACHED', c)",
}
_SOCKETS = {
    "tcp": "socket.AF_INET, socket.SOCK_STREAM",
    "tcp6": "socket.AF_INET6, socket.SOCK_STREAM",
    "udp": "socket.AF_INET, socket.SOCK_DGRAM",
    "icmp": "socket.AF_INET, socket.SOCK_RAW, 1",
    "unix": "socket.AF_UNIX, socket.SOCK_STREAM",
    "packet": "socket.AF_PACKET, socket.SOCK_RAW",
    "netlink": "socket.AF_NETLINK, socket.SOCK_RAW",
    "vsock": "40, socket.SOCK_STREAM",
    "kernel-crypto": "38, socket.SOCK_SEQPACKET",
    "bluetooth": "31, socket.SOCK_RAW, 1",
    "can": "29, socket.SOCK_RAW, 1",
    "xdp": "44, socket.SOCK_RAW",
}


def _cases() -> tuple[Case, ...]:
    groups = {
        "environment": _ENVIRONMENT,
        "host files": _FILES,
        "other calls": _OTHERS,
        "proc": _PROC,
        "frames and gc": _FRAMES,
    }
    cases = [Case(name, klass, code, _QUIET) for klass, group in groups.items() for name, code in group.items()]
    for name, arguments in _SOCKETS.items():
        code = attempt(f"socket.socket({arguments})", then="import socket")
        cases.append(Case(name, "sockets", code))
    code = "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9/', timeout=1)\nprint('BREACHED')"
    cases.append(Case("http", "sockets", code, TOOL_ERROR))
    # One of a pair can be connected to any named socket, the system's log among them.
    code = attempt("a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)", then="import socket")
    cases.append(Case("datagram-pair", "sockets", code))
    cases.append(
        Case(
            "name-service",
            "sockets",
            "import socket\nsocket.getaddrinfo('localhost', 80)\nsocket.create_connection(('localhost', 80))",
            TOOL_ERROR,
        )
    )
    cases.append(
        Case(
            "abstract-unix",
            "sockets",
            attempt("s = socket.socket(socket.AF_UNIX)", "s.bind('\\0hostile')", then="import socket"),
        )
    )
    return tuple(cases)


CASES = _cases()
