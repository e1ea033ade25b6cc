"""`mentor data` against a real HTTP server: resumed, checked, unpacked, and honest about what it cannot do."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import random
import shutil
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mentor.data.catalogue import CATALOGUE, Entry, Source, Unpack, entry_named
from mentor.data.download import CHUNK
from mentor.data.fetch import Fetched, Place, by_hand, fetch, open_client, state
from mentor.errors import ConflictError, InfrastructureError, NotFoundError, UnauthenticatedError, UserError
from mentor.rpc.retry import RetryPolicy
from tests.support.hub import Hub, Served, running_hub

QUICK = RetryPolicy(attempts=3, backoff_s=0.01)
CONTENT = random.Random(0).randbytes(3 * CHUNK + 17)
OTHER = random.Random(1).randbytes(2 * CHUNK + 5)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as running:
        yield running


def entry(*sources: Source, **values: Any) -> Entry:
    fields = {"what": "a test", "folder": "sub", "licence": "-", "about": "-", "use": "{folder}"} | values
    return Entry(name="thing", sources=sources or (Source("repo/data.bin", "data.bin"),), **fields)


def fetch_all(hub: Hub, root: Path, what: Entry | None = None, token: str | None = None) -> list[Fetched]:
    place = Place(what or entry(), root, hub.url)
    with open_client(hub.url, token) as client:
        return list(fetch(place, client, lambda *_: None, QUICK))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def leave_part(root: Path, content: bytes, etag: str) -> None:
    (root / "sub").mkdir()
    (root / "sub" / "data.bin.part").write_bytes(content)
    (root / "sub" / "data.bin.part.etag").write_text(etag)


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_a_file_comes_once_and_is_recorded(hub: Hub, tmp_path: Path) -> None:
    hub.files["/repo/data.bin"] = Served(CONTENT)
    [first] = fetch_all(hub, tmp_path)
    [second] = fetch_all(hub, tmp_path)
    assert (first.came, second.came) == (True, False)
    assert first.path.read_bytes() == CONTENT
    assert (tmp_path / "sub" / "thing.sha256").read_text() == f"{sha256(CONTENT)}  data.bin\n"
    assert visible(tmp_path / "sub") == {"data.bin", "thing.sha256"}
    assert len(hub.asked) == 1


def test_a_cut_connection_is_taken_up_where_it_broke(hub: Hub, tmp_path: Path) -> None:
    hub.files["/repo/data.bin"] = Served(CONTENT, failures=[("cut", 2 * CHUNK), ("status", 503)])
    [file] = fetch_all(hub, tmp_path)
    assert file.path.read_bytes() == CONTENT
    assert hub.ranges() == [None, f"bytes={2 * CHUNK}-", f"bytes={2 * CHUNK}-"]
    assert {asked.headers["if-range"] for asked in hub.asked[1:]} == {'"v1"'}


@pytest.mark.parametrize("served", [Served(CONTENT, ranges=False), Served(CONTENT, etag=None)], ids=["range", "etag"])
def test_a_server_that_cannot_resume_sends_it_all_again(hub: Hub, tmp_path: Path, served: Served) -> None:
    served.failures.append(("cut", 2 * CHUNK))
    hub.files["/repo/data.bin"] = served
    [file] = fetch_all(hub, tmp_path)
    assert file.path.read_bytes() == CONTENT


@pytest.mark.parametrize("stubborn", [False, True], ids=["says so", "ignores If-Range"])
def test_a_part_of_another_version_is_not_gone_on_with(hub: Hub, tmp_path: Path, stubborn: bool) -> None:
    leave_part(tmp_path, OTHER[:CHUNK], '"v0"')
    hub.files["/repo/data.bin"] = Served(CONTENT, stubborn=stubborn)
    [file] = fetch_all(hub, tmp_path)
    assert file.path.read_bytes() == CONTENT
    assert hub.ranges()[0] == f"bytes={CHUNK}-"


def test_a_part_of_unknown_version_is_fetched_anew(hub: Hub, tmp_path: Path) -> None:
    leave_part(tmp_path, CONTENT[:CHUNK], "")
    hub.files["/repo/data.bin"] = Served(CONTENT)
    [file] = fetch_all(hub, tmp_path)
    assert file.path.read_bytes() == CONTENT
    assert hub.ranges() == [None]


def test_a_part_that_is_whole_is_only_put_in_its_place(hub: Hub, tmp_path: Path) -> None:
    leave_part(tmp_path, CONTENT, '"v1"')
    hub.files["/repo/data.bin"] = Served(CONTENT)
    [file] = fetch_all(hub, tmp_path)
    assert file.path.read_bytes() == CONTENT
    assert len(hub.asked) == 1


def test_attempts_that_bring_nothing_are_bounded_and_what_came_stays(hub: Hub, tmp_path: Path) -> None:
    hub.files["/repo/data.bin"] = Served(CONTENT, failures=[("cut", CHUNK), *[("status", 503)] * 9])
    with pytest.raises(InfrastructureError, match=r"answers 503.*gave up after 3 attempts"):
        fetch_all(hub, tmp_path)
    assert len(hub.asked) == 3
    assert state(Place(entry(), tmp_path)) == "in part, 1.0 MB: 0 of 1 files whole"


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFoundError), (401, UnauthenticatedError), (403, UnauthenticatedError)]
)
def test_a_refusal_is_not_tried_again(hub: Hub, tmp_path: Path, status: int, kind: type[UserError]) -> None:
    hub.files["/repo/data.bin"] = Served(CONTENT, failures=[("status", status)])
    with pytest.raises(kind, match=str(status)):
        fetch_all(hub, tmp_path)
    assert len(hub.asked) == 1


def test_a_wrong_checksum_of_the_catalogue_removes_the_file(hub: Hub, tmp_path: Path) -> None:
    hub.files["/repo/data.bin"] = Served(CONTENT)
    wanted = entry(Source("repo/data.bin", "data.bin", sha256="0" * 64))
    with pytest.raises(
        InfrastructureError, match=f"was removed: its sha256 is {sha256(CONTENT)}, the catalogue says 000"
    ):
        fetch_all(hub, tmp_path, wanted)
    assert visible(tmp_path / "sub") == set()


def test_the_checksum_a_hub_declares_before_its_redirect_is_checked(hub: Hub, tmp_path: Path) -> None:
    hub.files["/blob"] = Served(CONTENT)
    hub.files["/repo/data.bin"] = Served(b"", redirect="/blob", linked=f'"{sha256(OTHER)}"')
    with pytest.raises(InfrastructureError, match=f"the server says {sha256(OTHER)}"):
        fetch_all(hub, tmp_path)
    assert visible(tmp_path / "sub") == set()
    hub.files["/repo/data.bin"].linked = f'"{sha256(CONTENT)}"'
    assert fetch_all(hub, tmp_path)[0].path.read_bytes() == CONTENT


def test_a_file_that_changed_on_disk_is_removed_and_one_that_changed_at_its_source_is_refused(
    hub: Hub, tmp_path: Path
) -> None:
    hub.files["/repo/data.bin"] = Served(CONTENT, linked=sha256(CONTENT))
    [file] = fetch_all(hub, tmp_path)
    file.path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(InfrastructureError, match=r"data.bin was removed.*thing.sha256 says"):
        fetch_all(hub, tmp_path)
    assert not file.path.exists()
    hub.files["/repo/data.bin"] = Served(OTHER, linked=sha256(OTHER))
    with pytest.raises(InfrastructureError, match=r"the server has another file.*thing.sha256 says"):
        fetch_all(hub, tmp_path)
    assert not file.path.exists()


def test_a_file_placed_by_hand_is_checked_against_the_server(hub: Hub, tmp_path: Path) -> None:
    path = tmp_path / "sub" / "data.bin"
    path.parent.mkdir()
    path.write_bytes(CONTENT[:-5])
    hub.files["/repo/data.bin"] = Served(CONTENT, linked=sha256(CONTENT))
    with pytest.raises(InfrastructureError, match=f"was removed: it has {len(CONTENT) - 5} bytes, the server says"):
        fetch_all(hub, tmp_path)
    path.write_bytes(CONTENT)
    assert not fetch_all(hub, tmp_path)[0].came


def test_parts_are_joined_and_removed(hub: Hub, tmp_path: Path) -> None:
    hub.files["/repo/aa"], hub.files["/repo/ab"] = Served(CONTENT), Served(OTHER)
    parts = entry(
        Source("repo/aa", "aa"),
        Source("repo/ab", "ab"),
        unpack=Unpack.JOIN,
        target="whole",
        target_size=len(CONTENT) + len(OTHER),
    )
    [file] = fetch_all(hub, tmp_path, parts)
    assert file.path.read_bytes() == CONTENT + OTHER
    assert (tmp_path / "sub" / "thing.sha256").read_text() == f"{sha256(CONTENT + OTHER)}  whole\n"
    assert visible(tmp_path / "sub") == {"whole", "thing.sha256"}
    assert not fetch_all(hub, tmp_path, parts)[0].came
    assert len(hub.asked) == 2


def test_compressed_files_are_unpacked(hub: Hub, tmp_path: Path) -> None:
    squeezed = gzip.compress(CONTENT, 1)
    hub.files["/repo/aa"], hub.files["/repo/ab"] = Served(squeezed[:99_999]), Served(squeezed[99_999:])
    sources = (Source("repo/aa", "aa"), Source("repo/ab", "ab"))
    [file] = fetch_all(hub, tmp_path, entry(*sources, folder="gz", unpack=Unpack.GZIP, target="lines"))
    assert file.path.read_bytes() == CONTENT
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writing:
        writing.writestr("some/where/deep/flat.index", OTHER)
        writing.writestr("README.md", "not this")
    hub.files["/repo/z.zip"] = Served(archive.getvalue())
    zipped = entry(Source("repo/z.zip", "z.zip"), unpack=Unpack.ZIP, target="e5.index", member=".index")
    [file] = fetch_all(hub, tmp_path, zipped)
    assert file.path.read_bytes() == OTHER
    assert visible(tmp_path / "sub") == {"e5.index", "thing.sha256"}


def test_an_archive_that_cannot_be_unpacked_leaves_no_target(hub: Hub, tmp_path: Path) -> None:
    hub.files["/repo/z"] = Served(gzip.compress(CONTENT, 1)[:-100])
    squeezed = entry(Source("repo/z", "z"), unpack=Unpack.GZIP, target="lines")
    with pytest.raises(InfrastructureError, match="z was removed: it cannot be unpacked"):
        fetch_all(hub, tmp_path, squeezed)
    assert visible(tmp_path / "sub") == {"thing.sha256"}
    hub.files["/repo/z"].content = gzip.compress(CONTENT, 1)
    assert fetch_all(hub, tmp_path, squeezed)[0].path.read_bytes() == CONTENT


def test_an_archive_that_holds_something_else_is_kept(hub: Hub, tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writing:
        writing.writestr("a.jsonl", "")
        writing.writestr("b.jsonl", "")
    hub.files["/repo/z.zip"] = Served(archive.getvalue())
    zipped = entry(Source("repo/z.zip", "z.zip"), unpack=Unpack.ZIP, target="lines", member=".jsonl")
    with pytest.raises(InfrastructureError, match=r"holds 2 files \*\.jsonl"):
        fetch_all(hub, tmp_path, zipped)
    assert (tmp_path / "sub" / "z.zip").exists()


def test_too_little_room_is_said_before_anything_comes(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files["/repo/data.bin"] = Served(CONTENT)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(UserError, match=r"1.0 MB free, 3.1 MB are needed"):
        fetch_all(hub, tmp_path)
    assert visible(tmp_path / "sub") == set()
    known = entry(Source("repo/data.bin", "data.bin", size=len(CONTENT)))
    with pytest.raises(UserError, match=r"3.1 MB are needed"):
        fetch_all(hub, tmp_path, known)
    assert len(hub.asked) == 1


def test_two_processes_at_one_entry_are_told_apart(hub: Hub, tmp_path: Path) -> None:
    hub.files["/repo/data.bin"] = Served(CONTENT)
    (tmp_path / "sub").mkdir()
    with (tmp_path / "sub" / ".thing.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConflictError, match="another process"):
            fetch_all(hub, tmp_path)
    assert fetch_all(hub, tmp_path)[0].came


def test_the_token_goes_to_the_base_url_alone(hub: Hub, tmp_path: Path) -> None:
    with running_hub() as elsewhere:
        elsewhere.files["/blob"] = Served(CONTENT)
        hub.files["/repo/data.bin"] = Served(b"", redirect=f"{elsewhere.url}/blob")
        fetch_all(hub, tmp_path, token="secret")
        assert [asked.headers.get("authorization") for asked in hub.asked] == ["Bearer secret"]
        assert [asked.headers.get("authorization") for asked in elsewhere.asked] == [None]


def test_the_environments_proxy_is_used(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("HTTP_PROXY", hub.url)
    hub.files["http://hub.invalid/repo/data.bin"] = Served(CONTENT)
    with open_client("http://hub.invalid") as client:
        [file] = fetch(Place(entry(), tmp_path, "http://hub.invalid"), client, lambda *_: None, QUICK)
    assert file.path.read_bytes() == CONTENT


def test_memory_does_not_grow_with_the_file(hub: Hub, tmp_path: Path) -> None:
    large = CONTENT * 16
    hub.files["/repo/aa"] = Served(large)
    what = entry(Source("repo/aa", "aa"), unpack=Unpack.JOIN, target="whole")
    place = Place(what, tmp_path, hub.url)
    with open_client(hub.url) as client:
        tracemalloc.start()
        [file] = fetch(place, client, lambda *_: None, QUICK)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert file.size == len(large)
    assert peak < len(large) / 4


def test_what_to_do_by_hand_names_every_file_with_what_is_known_of_it(tmp_path: Path) -> None:
    place = Place(entry_named("search-r1-e5-index"), tmp_path, "http://mirror/")
    place.remember({"part_ab": "f" * 64})
    text = by_hand(place)
    for part in ("part_aa", "part_ab"):
        assert f"from      http://mirror/datasets/PeterJinGo/wiki-18-e5-index/resolve/main/{part}\n" in text
    assert f"to        {tmp_path}/search_r1/part_aa\n" in text
    assert f"to        {tmp_path}/search_r1/part_ab (sha256 {'f' * 64})\n" in text
    assert f"joined to {tmp_path}/search_r1/e5_Flat.index (64,559,075,373 bytes)" in text


def test_the_catalogue_is_sound() -> None:
    assert len({entry.name for entry in CATALOGUE}) == len(CATALOGUE)
    for entry in CATALOGUE:
        assert (entry.unpack is Unpack.NONE) == (entry.target == "")
        assert (entry.unpack is Unpack.ZIP) == bool(entry.member)
        assert entry.unpack is not Unpack.ZIP or len(entry.sources) == 1
        for source in entry.sources:
            assert not Path(source.file).is_absolute()
            assert not source.url.startswith("/")
    with pytest.raises(NotFoundError, match="allowed: mentor-train, bamboogle"):
        entry_named("nothing")


@pytest.mark.parametrize("url", ["ftp://host", "host", "http://", "http://host:port", ""])
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="base-url"):
        open_client(url)
