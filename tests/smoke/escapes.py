"""Runs inside a container beside the sandbox: sends it code that tries to get out, and prints what came back."""

import json

import httpx

from mentor.rpc.credentials import secret

LIBC = "import ctypes\nl = ctypes.CDLL(None, use_errno=True)\n"
CASES = {
    "ptrace": LIBC + "def f():\n    return l.ptrace(0, 0, 0, 0)",
    "io_uring": LIBC + "def f():\n    return l.syscall(425, 8, ctypes.create_string_buffer(256))",
    "namespace": LIBC + "def f():\n    return l.unshare(0x10000000)",
    "fork bomb": """
import os
def f():
    failures = 0
    while failures < 50:
        try:
            if os.fork() == 0:
                while True:
                    pass
        except OSError:
            failures += 1
    return -1
""",
    "daemon": """
import os, time
def f():
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    return -1
""",
    "memory": "def f():\n    x = []\n    while True:\n        x.append(bytearray(1 << 24))",
    "secrets": "def f():\n    return open('/run/secrets/search_key').read()",
    "environment of pid 1": "def f():\n    return open('/proc/1/environ', 'rb').read()",
    "Redis": "import socket\ndef f():\n    return socket.create_connection(('redis', 6379), 2)",
    "the host": "import socket\ndef f():\n    return socket.create_connection(('172.17.0.1', 22), 2)",
    "a raw socket": "import socket\ndef f():\n    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
}
headers = {"authorization": f"Bearer {secret('MENTOR_API_KEY')}"}
found = {}
for name, env in CASES.items():
    body = {"env": env, "call": "f()", "timeout": 3}
    found[name] = httpx.post(
        "http://sandbox:5000/execute", json=body, headers=headers, timeout=60, trust_env=False
    ).json()
print(json.dumps(found))
