"""Artefacts and logs over HTTP: read where they lie, from any offset, and whole at the other end."""

from __future__ import annotations

import asyncio
import random
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from mentor.cli.jobs import app
from mentor.errors import InfrastructureError, NotFoundError
from mentor.jobs.archive import content, digest_of
from mentor.jobs.artifacts import ArtifactStore, measure
from mentor.jobs.client import JobClient
from mentor.jobs.download import Download
from mentor.jobs.model import Artifact, JobState
from mentor.jobs.service import build_job_service
from mentor.jobs.tails import tail
from mentor.jobs.uploads import Uploads
from mentor.serving import ServiceSettings, running
from tests.support.job_stack import JobStack, job_stack
from tests.support.toy_job import ToyJob


def model_folder(place: Path) -> Path:
    """A folder like a checkpoint: large and small files, an empty one, names that tar finds hard."""
    (place / "deep" / "er").mkdir(parents=True)
    (place / "model.safetensors").write_bytes(random.Random(0).randbytes(300_000))
    (place / "empty").touch()
    (place / "deep" / "er" / ("n" * 150)).write_text("a long name")
    (place / "deep" / "gewöhnlich").write_text("a name outside ASCII")
    (place / "deep" / "block").write_bytes(bytes(512))
    (place / "run.sh").write_text("#!/bin/sh")
    (place / "run.sh").chmod(0o755)
    return place


class Served:
    """A job with artefacts on a running service."""

    def __init__(self, url: str, stack: JobStack, folder: Path) -> None:
        self.url, self.stack, self.folder = url, stack, folder
        job = stack.submit(steps=1)
        assert stack.manager.store.claim(job.id, "test")
        self.job_id = job.id
        self.artifacts = {"model": self.commit("model", folder)}
        self.artifacts["model.safetensors"] = self.commit("model.safetensors", folder / "model.safetensors")

    def commit(self, name: str, source: Path) -> Artifact:
        made = self.stack.manager.files.put(self.job_id, name, source, 1)
        self.stack.manager.store.commit(self.job_id, made)
        return made

    def path(self, name: str) -> str:
        return f"{self.url}/v1/jobs/{self.job_id}/artifacts/{name}"

    async def get(self, name: str, method: str = "GET", **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            named = {key.replace("_", "-"): value for key, value in headers.items()}
            return await client.request(method, self.path(name), headers=named)

    async def fetch(self, name: str, target: Path) -> Path:
        return await asyncio.to_thread(JobClient(self.url, outage_s=0).fetch, self.job_id, name, target)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    with job_stack(tmp_path_factory.mktemp("served"), lease_s=600) as stack:
        service = build_job_service("toy", ServiceSettings(access_log=False), [ToyJob()], job_settings=stack.settings)
        async with running(service) as server:
            yield Served(str(server.http_url), stack, model_folder(tmp_path_factory.mktemp("model") / "model"))


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_folder_is_streamed_without_being_packed_anywhere(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing is to be put into temporary files")

    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "mkdtemp", refuse)
        patched.setattr(tempfile, "mkstemp", refuse)
        target = await served.fetch("model", tmp_path / "model.tar")
    with tarfile.open(target) as tar:
        tar.extractall(tmp_path / "out", filter="data")
    assert measure(tmp_path / "out") == measure(served.folder)
    assert (tmp_path / "out" / "run.sh").stat().st_mode & 0o100
    assert digest_of(target) == served.artifacts["model"].sha256
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.endswith(".part")] == []


async def test_a_file_and_a_folder_are_sent_without_being_packed_anywhere(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing is to be put into temporary files")

    for path in (served.folder, served.folder / "model.safetensors"):
        with monkeypatch.context() as patched:
            patched.setattr(tempfile, "TemporaryFile", refuse)
            reference = await asyncio.to_thread(JobClient(served.url, outage_s=0).upload, path)
        assert reference == f"file:{measure(path)[1]}/{path.name}"
        assert measure(Uploads(served.stack.manager.files).path(reference, "field")) == measure(path)


async def test_every_range_is_that_part_of_the_whole(served: Served) -> None:
    for name in ("model", "model.safetensors"):
        whole = await served.get(name)
        size, digest = len(whole.content), served.artifacts[name].sha256
        assert (whole.status_code, whole.headers["x-sha256"], whole.headers["etag"]) == (200, digest, f'"{digest}"')
        draw = random.Random(1)
        starts = [0, 1, 511, 512, 513, size - 1, *(draw.randrange(size) for _ in range(20))]
        for start in starts:
            stop = draw.randrange(start, size)
            part = await served.get(name, Range=f"bytes={start}-{stop}")
            assert part.status_code == 206
            assert part.headers["content-range"] == f"bytes {start}-{stop}/{size}"
            assert part.content == whole.content[start : stop + 1]
        assert (await served.get(name, Range="bytes=-7")).content == whole.content[-7:]
        assert (await served.get(name, Range=f"bytes={size - 3}-")).content == whole.content[-3:]


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=0-1,4-5", "lines=1-2", "bytes=-", "bytes=x-y"])
async def test_a_range_that_makes_no_sense_gets_everything(served: Served, asked: str) -> None:
    assert (await served.get("model", Range=asked)).status_code == 200


async def test_a_range_beyond_the_end_is_refused_and_another_version_is_sent_whole(served: Served) -> None:
    size = int((await served.get("model", "HEAD")).headers["content-length"])
    beyond = await served.get("model", Range=f"bytes={size}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert (await served.get("model", Range="bytes=5-", If_Range='"another"')).status_code == 200
    digest = served.artifacts["model"].sha256
    assert (await served.get("model", Range="bytes=5-", If_Range=f'"{digest}"')).status_code == 206


class Breaking(httpx.BaseTransport):
    """A connection that breaks after so many bytes of each answer; remembers from where answers began."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.ranges: list[str] = []
        self._real = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.ranges.append(request.headers.get("range", ""))
        response = self._real.handle_request(request)
        assert isinstance(response.stream, httpx.SyncByteStream)
        return httpx.Response(response.status_code, headers=response.headers, stream=Cut(response.stream, self.after))


class Cut(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, after: int) -> None:
        self._stream, self._after = stream, after

    def __iter__(self) -> Iterator[bytes]:
        left = self._after
        for block in self._stream:
            yield block[:left]
            left -= len(block)
            if left <= 0:
                raise httpx.ReadError("the connection broke")

    def close(self) -> None:
        self._stream.close()


@pytest.mark.parametrize("name", ["model", "model.safetensors"])
async def test_a_download_goes_on_where_it_broke_off(served: Served, tmp_path: Path, name: str) -> None:
    transport = Breaking(after=100_000)
    client = httpx.Client(transport=transport)
    target = tmp_path / "fetched"
    download = Download(client, served.path(name), served.artifacts[name], target, outage_s=0)
    for _ in range(4):
        try:
            await asyncio.to_thread(download.run)
            break
        except InfrastructureError:  # given up for now, as a command that is called again
            assert not target.exists()
    assert target.read_bytes() == (await served.get(name)).content
    assert transport.ranges[:3] == ["", "bytes=100000-", "bytes=200000-"]
    assert not download.part.exists()


async def test_one_call_survives_many_breaks(served: Served, tmp_path: Path) -> None:
    client = httpx.Client(transport=Breaking(after=90_000))
    target = tmp_path / "fetched"
    await asyncio.to_thread(Download(client, served.path("model"), served.artifacts["model"], target, outage_s=5).run)
    assert target.read_bytes() == (await served.get("model")).content


async def test_what_came_damaged_is_thrown_away_and_fetched_anew(served: Served, tmp_path: Path) -> None:
    target = tmp_path / "fetched"
    part = target.with_name(f".fetched.{served.artifacts['model'].sha256[:16]}.part")
    part.write_bytes(b"damaged" * 10)
    with pytest.raises(InfrastructureError, match="digest"):
        await served.fetch("model", target)
    assert not target.exists()
    assert not part.exists()
    await served.fetch("model", target)
    assert digest_of(target) == served.artifacts["model"].sha256
    part.write_bytes(target.read_bytes())  # all had come, and the command was killed before it could say so
    assert (await served.fetch("model", target)).exists()


async def test_the_command_fetches_and_resumes(served: Served, tmp_path: Path) -> None:
    def mentor(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*arguments, "--url", served.url])
        return done.exit_code, done.output

    target = tmp_path / "model.tar"
    part = target.with_name(f".model.tar.{served.artifacts['model'].sha256[:16]}.part")
    part.write_bytes((await served.get("model")).content[:1000])  # an earlier call was killed here
    assert await asyncio.to_thread(mentor, "fetch", served.job_id, "model", str(target)) == (0, f"{target}\n")
    assert digest_of(target) == served.artifacts["model"].sha256
    failed = served.stack.submit(steps=2)
    assert served.stack.manager.store.claim(failed.id, "test")
    served.stack.manager.store.finish(failed.id, 1, JobState.FAILED, error="a bug")
    assert await asyncio.to_thread(mentor, "resume", failed.id) == (0, f"{failed.id}\n")
    assert served.stack.manager.get(failed.id).state is JobState.QUEUED
    code, said = await asyncio.to_thread(mentor, "resume", failed.id)
    assert (code != 0, f"job {failed.id} is queued" in said) == (True, True)


async def test_an_artefact_that_is_not_there_is_named(served: Served, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing") as caught:
        await served.fetch("nothing", tmp_path / "target")
    assert caught.value.allowed == "model, model.safetensors"
    served.stack.manager.files.discard(served.commit("gone", served.folder).path)
    with pytest.raises(NotFoundError, match="gone"):
        await served.fetch("gone", tmp_path / "target")


async def test_a_remote_roots_artefact_is_read_where_it_lies(tmp_path: Path) -> None:
    files = ArtifactStore(f"memory://downloads-{tmp_path.name}", scratch=str(tmp_path / "scratch"))
    here = ArtifactStore(str(tmp_path / "here"))
    folder = model_folder(tmp_path / "model")
    (folder / "run.sh").chmod(0o644)  # object stores know no modes
    for source in (folder, folder / "model.safetensors"):
        far, near = (content(store, store.put("toy-1", "model", source, 1)) for store in (files, here))
        assert b"".join(far.read(0, far.size)) == b"".join(near.read(0, near.size))
        assert b"".join(far.read(700, 90_000)) == b"".join(near.read(700, 90_000))
    assert not list((tmp_path / "scratch").rglob("model*"))


async def test_the_end_of_a_huge_log_is_sent_without_the_rest(served: Served) -> None:
    log = served.stack.manager.files.log_path(served.job_id, 1)
    with log.open("wb") as file:
        file.truncate(4 << 30)  # four gigabytes, sparse
        file.seek(0, 2)
        file.write(b"\none\ntwo\nthree\n")
    later = served.stack.manager.files.log_path(served.job_id, 2)
    later.write_text("four\n")
    logs = JobClient(served.url, outage_s=0).logs
    assert await asyncio.to_thread(logs, served.job_id, 3) == "two\nthree\nfour\n"
    longest = await asyncio.to_thread(logs, served.job_id, 1000)
    assert (len(longest), longest[-5:]) == (16 << 20, "four\n")
    log.unlink()


async def test_a_tail_is_what_reading_everything_would_give(tmp_path: Path) -> None:
    draw = random.Random(2)
    for turn in range(200):
        paths = [tmp_path / f"{turn}-{n}" for n in range(draw.randrange(4))]
        for path in paths:
            rows = [b"x" * draw.choice([0, 1, 5, 40_000]) for _ in range(draw.randrange(6))]
            path.write_bytes(b"".join(row + b"\n" for row in rows) + draw.choice([b"", b"unfinished\n"]))
        lines = draw.randrange(1, 8)
        everything = b"".join(path.read_bytes() for path in paths).splitlines(keepends=True)
        assert b"".join(tail(paths, lines)) == b"".join(everything[-lines:])
        most = draw.choice([1, 10, 50_000])
        assert b"".join(tail(paths, lines, most)) == b"".join(everything[-lines:])[-most:]
