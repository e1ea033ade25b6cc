"""Runs inside a container beside the sandbox: sends it code that tries to reach what only a whole stack has, and prints what
came back. The hostile suite does the rest, against the same image (``test_hostile_container.py``)."""

import json

import httpx

from mentor.rpc.credentials import secret

CASES = {
    "secrets": "def f():\n    return open('/run/secrets/search_key').read()",
    "environment of pid 1": "def f():\n    return open('/proc/1/environ', 'rb').read()",
    "Redis": "import socket\ndef f():\n    return socket.create_connection(('redis', 6379), 2)",
    "the host": "import socket\ndef f():\n    return socket.create_connection(('172.17.0.1', 22), 2)",
    "the index of the retriever": "import urllib.request\ndef f():\n    p = '<search-url-placeholder>/v1/index'\n"
    "    return urllib.request.urlopen(urllib.request.Request(p, method='POST', data=b'{}'), timeout=5).read().decode()",
    "the retriever's port for operators": "import urllib.request\ndef f():\n"
    "    p = '<search-url-placeholder>'.replace('8081', '9102') + '/v1/index'\n"
    "    return urllib.request.urlopen(urllib.request.Request(p, method='POST', data=b'{}'), timeout=5).read().decode()",
}
headers = {"authorization": f"Bearer {secret('MENTOR_API_KEY')}"}
found = {}
for name, env in CASES.items():
    body = {"env": env, "call": "f()", "timeout": 3}
    found[name] = httpx.post(
        "http://sandbox:5000/execute", json=body, headers=headers, timeout=60, trust_env=False
    ).json()
print(json.dumps(found))
