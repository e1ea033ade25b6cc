"""A model server of a few lines, for tests of how servers are managed: it starts at once and misbehaves on request.

It is what an operator's setting may name: a command that takes the local engine's flags. ``--set=`` is ignored.
Variables: ``SMALL_DIES`` (it says so, and ends, exit code 3), ``SMALL_DIES_LATER`` (a file: dies in the starts that find it),
``SMALL_DAEMON`` (a file that gets the process id of a daemon that it leaves behind).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser()
    for flag in ("--model", "--served-model-name", "--host", "--threads", "--set", "--max-batch", "--seed"):
        parser.add_argument(flag)
    parser.add_argument("--port", type=int)
    options = parser.parse_args()
    if daemon := os.environ.get("SMALL_DAEMON"):
        left = subprocess.Popen(["sleep", "600"], start_new_session=True)
        Path(daemon).write_text(str(left.pid))
    if os.environ.get("SMALL_DIES") or Path(os.environ.get("SMALL_DIES_LATER", "/nowhere")).exists():
        print("OutOfMemoryError: the model does not fit", f"(key {os.environ['MENTOR_API_KEY']})", file=sys.stderr)
        print("shutting down", file=sys.stderr)
        sys.exit(3)
    ThreadingHTTPServer(("127.0.0.1", options.port), _handler(options.served_model_name)).serve_forever()


def _handler(name: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/v1/models":
                self._send({"data": [{"id": name, "max_model_len": 4096}]})
            elif self.path == "/metrics":
                self._send("mentor_model_generated_tokens_total 7.0\nmentor_model_prompt_tokens_total 40.0\n")
            else:
                self._send({"pid": os.getpid(), "variables": sorted(os.environ)})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            known = self.headers["authorization"] == f"Bearer {os.environ['MENTOR_API_KEY']}"
            message = {"content": f"<answer>{os.getpid() if known else 'wrong key'}</answer>", "body": body}
            self._send({"choices": [{"message": message, "finish_reason": "stop"}]})

        def _send(self, body: Any) -> None:
            content = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None: ...

    return Handler


if __name__ == "__main__":
    main()
