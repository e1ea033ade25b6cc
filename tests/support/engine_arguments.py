"""The arguments that vLLM's and SGLang's released packages take, read from their source: importing them wants CUDA.

``python -m tests.support.engine_arguments`` downloads the wheels and writes ``engine_arguments.json`` beside this file.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tests.support.service_process import ROOT

FILE = Path(__file__).with_suffix(".json")
LOCK = ROOT / "services" / "trainer" / "requirements.gpu.lock"
SGLANG = "0.5.12"
"""The version of verl's own extra; our GPU image has vLLM alone."""
WHERE = {
    "vllm": ("vllm/engine/arg_utils.py", ("EngineArgs", "AsyncEngineArgs")),
    "sglang": ("sglang/srt/server_args.py", ("ServerArgs",)),
}


def pinned_vllm() -> str:
    """The version in the GPU image."""
    found = re.search(r"^vllm==(\S+)", LOCK.read_text(), re.M)
    assert found
    return found[1]


def fields_of(source: str, classes: tuple[str, ...]) -> list[str]:
    """Annotated names in the bodies of these classes."""
    bodies = [node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name in classes]
    found = (item.target for body in bodies for item in body if isinstance(item, ast.AnnAssign))
    return sorted({target.id for target in found if isinstance(target, ast.Name)})


def given_by_verl(source: str) -> set[str]:
    """Every text that is a key of a dictionary called ``...args`` in verl's server of an engine."""
    keys: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if any(name in ("args", "lora_args", "dp_args") for name in names):
                keys |= {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
    return keys


def main() -> None:
    """Download, read, write."""
    versions = {"vllm": pinned_vllm(), "sglang": SGLANG}
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, version in versions.items():
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                f"{name}=={version}",
                "--dest",
                folder,
            ]
            subprocess.run(command, check=True)
            (wheel,) = Path(folder).glob(f"{name}-*.whl")
            path, classes = WHERE[name]
            source = zipfile.ZipFile(wheel).read(path).decode()
            result[name] = {"version": version, "arguments": fields_of(source, classes)}
    FILE.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
