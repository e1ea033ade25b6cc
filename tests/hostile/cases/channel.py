"""Lies about the result: forged frames, pickles, objects that are not what they say."""

from __future__ import annotations

from tests.hostile.case import KILLED, OK, OUTPUT, TIMEOUT, TOOL_ERROR, Case

_ANY = (*OK, *TOOL_ERROR, *KILLED)
_FORGED = {
    "garbage": "import os\nos.write(3, b'x' * 100)",
    "huge-length": "import os\nos.write(3, b'\\xff\\xff\\xff\\xff')",
    "empty-frame": "import os\nos.write(3, bytes(4))",
    "result-of-ok": "import os, struct\nv = b'\"forged\"'\nb = struct.pack('=QBbII', 0, 0, 1, len(v), 0) + v\n"
    "os.write(3, struct.pack('=I', len(b)) + b)",
    "result-and-exit": "import os, struct\nv = b'\"forged\"'\nb = struct.pack('=QBbII', 0, 0, 1, len(v), 0) + v\n"
    "os.write(3, struct.pack('=I', len(b)) + b)\nos._exit(0)",
    "half-a-frame": "import os, struct\nos.write(3, struct.pack('=I', 1000) + b'half')",
    "pickle": "import os, pickle, struct\nclass P:\n  def __reduce__(self): return (os.system, ('touch /tmp/hostile-pickle',))\n"
    "b = pickle.dumps(P())\nos.write(3, struct.pack('=I', len(b)) + b)",
    "marshal": "import marshal, os, struct\nb = marshal.dumps({'status': 'ok', 'value': 'forged'})\nos.write(3, struct.pack('=I', len(b)) + b)",
    "shutdown": "import socket, os\ntry:\n  s = socket.socket(fileno=3)\n  s.shutdown(2)\nexcept OSError: os.close(3)",
    "closed": "import os\nos.close(3)",
    "replaced": "import os\nr, w = os.pipe()\nos.dup2(w, 3)",
    "flood": "import os\nfor _ in range(1000): os.write(3, b'x' * 100_000)",
}
_LIES = (
    Case("object-with-repr", "lies", "class A:\n  def __repr__(self): return '{\"status\": \"ok\"}'\nresult = A()"),
    Case("repr-raises", "lies", "class A:\n  def __repr__(self): raise SystemExit(0)\nresult = A()", (*OK, *TOOL_ERROR)),
    Case("int-subclass", "lies", "class I(int):\n  def __repr__(self): return '1, \"forged\": 2'\n  __str__ = __repr__\nresult = I(5)"),
    Case("float-subclass", "lies", "class F(float):\n  def __repr__(self): return 'NaN'\nresult = [F(1.5)]"),
    Case("str-subclass", "lies", "class S(str):\n  def __len__(self): return 10**9\n  def encode(self, *a): return b'forged'\nresult = S('x')"),
    Case("dict-subclass", "lies", "class D(dict):\n  def items(self):\n    while True: yield 'k', 1\nresult = D(a=1)", (*OK, *TIMEOUT, "memory")),
    Case("bool-of-everything", "lies", "class A:\n  def __eq__(self, o): return True\n  __hash__ = None\nresult = [A(), {'status': A()}]"),
    Case("class-attribute", "lies", "class A:\n  __class__ = int\nresult = A()"),
    Case("module-lie", "lies", "class A:\n  __module__ = 'numpy'\n  dtype = 1\n  ndim = 0\n  def tolist(self): return self\nresult = A()",
         ("ok", "tool_error", "timeout")),
    Case("dataclass-lie", "lies", "class A:\n  __dataclass_fields__ = {'x': 1}\nresult = A()", (*OK, *TOOL_ERROR)),
    Case("patched-encoder", "lies",
         "import sys\nfor n, m in list(sys.modules.items()):\n  if n.endswith('codec'): m.encode = lambda v: 'not json'\nresult = 1", _ANY),
    Case("patched-json", "lies", "import json\njson.dumps = lambda *a, **k: '{forged'\nresult = {'a': 1}", _ANY),
    Case("patched-pack", "lies",
         "import sys\nfor n, m in list(sys.modules.items()):\n  if n.endswith('sandbox.call'): m.frame = m.pack_result = lambda *a: b'x'\nresult = 1", _ANY),
    Case("value-too-large", "lies", "result = 'x' * 20_000_000\nprint(result)", OUTPUT, program=(*OK, *OUTPUT, *TOOL_ERROR), session=OUTPUT),
    Case("changing-list", "lies", "class L(list):\n  def __iter__(self):\n    self.append(1)\n    return iter(self[:])\nresult = L([1])"),
    Case("error-message", "lies", "raise ValueError('{\"status\": \"ok\", \"value\": 1}')", TOOL_ERROR),
    Case("error-class-name", "lies", "raise type('ok\\n{}', (Exception,), {})('x')", TOOL_ERROR),
    Case("error-of-infrastructure", "lies", "class InfrastructureError(Exception): pass\nraise InfrastructureError('unavailable')", TOOL_ERROR),
    Case("claims-timeout", "lies", "raise TimeoutError('the call exceeded its time limit')", TOOL_ERROR),
)  # fmt: skip


def _cases() -> tuple[Case, ...]:
    """A program's result is its exit code: what it writes to the channel says nothing of it. Half a frame makes a
    session wait for the other half."""
    forged = []
    for name, code in _FORGED.items():
        right = (
            (*KILLED, *TOOL_ERROR) if name not in ("closed", "replaced", "flood") else (*KILLED, *TOOL_ERROR, *TIMEOUT)
        )
        session = (*right, *TIMEOUT)
        forged.append(Case(name, "forged results", code, right, program=_ANY, session=session))
    return (*forged, *_LIES)


CASES = _cases()
