"""`mentor data` as a process: killed and given again, without network, and what it prints."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from mentor.data.catalogue import CATALOGUE, entry_named
from mentor.data.download import CHUNK
from mentor.data.fetch import Place, description
from tests.support.hub import Served, running_hub
from tests.support.service_process import environment
from tests.support.waiting import eventually

CONTENT = random.Random(0).randbytes(3 * CHUNK + 17)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mentor.cli", "data", *arguments]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = environment({"NO_PROXY": "*"})
    return subprocess.run(command(*arguments), env=env, capture_output=True, text=True, timeout=60)


def test_a_killed_command_goes_on_where_it_was(tmp_path: Path) -> None:
    source = entry_named("bamboogle").sources[0]
    place = tmp_path / "eval_dataset" / "bamboogle"
    part = place / "test.jsonl.part"
    with running_hub() as hub:
        hub.files[f"/{source.url}"] = Served(CONTENT, hold=2 * CHUNK)
        arguments = ["fetch", "bamboogle", "--to", str(tmp_path), "--base-url", hub.url]
        killed = subprocess.Popen(command(*arguments), env=environment({"NO_PROXY": "*"}))
        try:
            eventually(lambda: part.exists() and part.stat().st_size >= CHUNK, what="a part")
        finally:
            killed.send_signal(signal.SIGKILL)
            killed.wait()
        came = part.stat().st_size
        hub.files[f"/{source.url}"].hold = None
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
        assert hub.ranges() == [None, f"bytes={came}-"]
    assert (place / "test.jsonl").read_bytes() == CONTENT
    assert sha256(CONTENT).hexdigest() in done.stdout
    assert done.stderr == ""  # no bar where there is no terminal
    assert f"questions: {place}/test.jsonl" in done.stdout


def test_without_network_it_says_what_to_place_where(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        done = run("fetch", "mentor-train", "--to", str(tmp_path), "--base-url", url, "--retries", "0")
    assert done.returncode == 1
    assert (
        f"from      {url}/datasets/MENTOR-RL/MENTOR-data/resolve/main/data/train-00000-of-00001.parquet" in done.stderr
    )
    assert f"to        {tmp_path}/mentor_train.parquet" in done.stderr
    assert "Connection refused (gave up after 1 attempts)" in done.stderr
    assert f"mentor data fetch mentor-train --to {tmp_path}" in done.stderr


def test_what_was_placed_by_hand_is_taken_without_network(tmp_path: Path) -> None:
    for name in ("mentor_train.parquet", "mentor_test.parquet"):
        (tmp_path / name).write_bytes(CONTENT)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        done = run("fetch", "mentor-train", "--to", str(tmp_path), "--base-url", url, "--retries", "0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(sha256(CONTENT).hexdigest()) == 2
    check = subprocess.run(["sha256sum", "-c", "mentor-train.sha256"], cwd=tmp_path, capture_output=True, text=True)
    assert check.returncode == 0, check.stderr


def test_an_empty_token_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    done = run("fetch", "bamboogle", "--to", str(tmp_path), "--token-file", str(tmp_path / "token"))
    assert done.returncode == 2
    assert done.stderr.startswith("error: --token-file: the token is empty")


def test_the_list_has_everything_and_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "mentor_train.parquet").write_bytes(b"x")
    done = run("list", "--to", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "\n\n".join(description(Place(entry, tmp_path)) for entry in CATALOGUE)
    assert "in part, 1 bytes: 1 of 2 files whole" in done.stdout
    assert "datasets/RUC-NLPIR/FlashRAG_datasets/resolve/main/retrieval-corpus/wiki18_100w.zip" in done.stdout
