"""Archives that clients send: plain files and folders come out; what would come out elsewhere, or without end, does not."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mentor.errors import UserError
from mentor.jobs.unpack import MIB, ArchiveLimits, unpack

SMALL = ArchiveLimits(max_bytes=MIB, max_entries=20, max_depth=4, max_ratio=100, ratio_from=MIB)


def entry(name: str, size: int = 0, **fields: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size = size
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def archive(path: Path, *entries: tuple[tarfile.TarInfo, bytes], **options: Any) -> Path:
    with tarfile.open(path, **{"mode": "w", **options}) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_files_and_folders_come_out_as_they_were(tmp_path: Path, mode: str) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "data.bin").write_bytes(bytes(range(256)) * 100)
    (tmp_path / "in" / f"{'long' * 40}.txt").write_text("ä")
    with tarfile.open(tmp_path / "a.tar", mode) as tar:  # type: ignore[call-overload]
        tar.add(tmp_path / "in", arcname=".")
    out = unpack(tmp_path / "a.tar", tmp_path / "out", SMALL)
    found = {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert found == {"deep/data.bin": bytes(range(256)) * 100, f"{'long' * 40}.txt": "ä".encode()}


@pytest.mark.parametrize(
    "bad",
    [
        entry("/etc/absolute"),
        entry("../above"),
        entry("a/../../above"),
        entry("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        entry("hard", type=tarfile.LNKTYPE, linkname="../secret"),
        entry("device", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        entry("block", type=tarfile.BLKTYPE),
        entry("pipe", type=tarfile.FIFOTYPE),
        entry("sparse", type=tarfile.GNUTYPE_SPARSE),
        entry("a/b/c/d/e"),
    ],
    ids=lambda info: info.name,
)
def test_what_leads_out_of_the_folder_or_is_no_plain_file_is_refused(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    made = archive(tmp_path / "a.tar", (entry("good", 1), b"x"), (bad, b""))
    with pytest.raises(UserError) as caught:
        unpack(made, tmp_path / "out", SMALL)
    assert caught.value.field == "body"
    assert sorted(os.listdir(tmp_path)) == ["a.tar", "out"]


def _zeros(path: Path, pack: Callable[[bytes], bytes]) -> Path:
    """A small file that unpacks to 64 MiB of a member's zeros."""
    plain = archive(path.with_suffix(".plain"), (entry("zeros", 0), b"")).read_bytes()
    header = entry("zeros", 64 * MIB).tobuf()
    path.write_bytes(pack(header + bytes(64 * MIB) + plain[512:]))
    path.with_suffix(".plain").unlink()
    return path


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress], ids=["gzip", "xz"])
@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (replace(SMALL, max_ratio=10**6), "more than it may"),
        (ArchiveLimits(ratio_from=MIB), "more than 100 times what was sent"),
    ],
    ids=["bytes", "ratio"],
)
def test_a_bomb_is_left_off_where_its_bound_is(
    tmp_path: Path, limits: ArchiveLimits, reason: str, pack: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(UserError, match=reason):
        unpack(_zeros(tmp_path / "bomb", pack), tmp_path / "out", limits)
    assert sum(p.stat().st_size for p in (tmp_path / "out").rglob("*")) < 20 * MIB


def test_more_entries_than_may_be_are_refused(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.tar", *((entry(f"f{n}"), b"") for n in range(21)))
    with pytest.raises(UserError, match="more than 20 entries"):
        unpack(made, tmp_path / "out", SMALL)


def test_a_header_that_would_be_taken_into_memory_whole_is_refused(tmp_path: Path) -> None:
    header = entry("pax", 900 * MIB, type=tarfile.XHDTYPE).tobuf()
    (tmp_path / "a").write_bytes(gzip.compress(header + bytes(4 * MIB)))
    with pytest.raises(UserError, match="a header that is too large"):
        unpack(tmp_path / "a", tmp_path / "out", ArchiveLimits())


@pytest.mark.parametrize(
    "content",
    [b"no tar at all", gzip.compress(b"no tar"), gzip.compress(b"x" * 5000)[:-20], b""],
    ids=["text", "zipped text", "cut", "nothing"],
)
def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UserError, match="tar archive"):
        unpack(tmp_path / "a", tmp_path / "out", SMALL)


def test_an_archive_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    whole = archive(tmp_path / "a.tar", (entry("f", 5000), b"x" * 5000)).read_bytes()
    (tmp_path / "b.tar").write_bytes(whole[:3000])
    with pytest.raises(UserError, match="not a tar archive"):
        unpack(tmp_path / "b.tar", tmp_path / "out", SMALL)


def test_one_name_as_file_and_as_folder_is_refused(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.tar", (entry("n", 1), b"x"), (entry("n/below", 1), b"x"))
    with pytest.raises(UserError, match="one name twice"):
        unpack(made, tmp_path / "out", SMALL)
