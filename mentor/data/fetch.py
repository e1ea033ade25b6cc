"""Bring an entry of the catalogue into a data folder, or say what to place where by hand.

A file is checked against the catalogue's size and checksum, or the checksum recorded when it first came (``NAME.sha256`` in
the entry's folder, in the form of ``sha256sum``), and the one that the server declares. A file that fails is removed.
"""

from __future__ import annotations

import fcntl
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from mentor.data.catalogue import Entry, Source, Unpack
from mentor.data.download import Report, Wanted, check_room, download, hash_file, in_words, part_of, probe
from mentor.data.files import check_readable, unwritable, write_text
from mentor.data.unpack import Damaged, unpack
from mentor.errors import ConflictError, InfrastructureError, UserError
from mentor.rpc.retry import RetryPolicy

POLICY = RetryPolicy(attempts=6, backoff_s=0.5, max_backoff_s=30.0)
_TIMEOUT = httpx.Timeout(60.0, connect=15.0)


@dataclass(frozen=True)
class Fetched:
    """A file that is in its place. ``came`` is False if it was there already."""

    path: Path
    size: int
    sha256: str
    came: bool


@dataclass(frozen=True)
class Place:
    """An entry in a data folder."""

    entry: Entry
    root: Path
    base_url: str | None = None

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.root / self.entry.folder

    @property
    def record(self) -> Path:
        """Where checksums are recorded."""
        return self.folder / f"{self.entry.name}.sha256"

    @property
    def targets(self) -> list[Path]:
        """The files that are wanted in the end."""
        names = [s.file for s in self.entry.sources] if self.entry.unpack is Unpack.NONE else [self.entry.target]
        return [self.folder / name for name in names]

    def url(self, source: Source) -> str:
        """The address of one of its files."""
        return f"{(self.base_url or self.entry.hub).rstrip('/')}/{source.url}"

    def recorded(self) -> dict[str, str]:
        """Checksums by file name."""
        if not self.record.exists():
            return {}
        check_readable(self.record, "--to")
        lines = (line.split(maxsplit=1) for line in self.record.read_text().splitlines() if line.strip())
        return {parts[1].lstrip("*"): parts[0].lower() for parts in lines if len(parts) == 2}

    def remember(self, new: dict[str, str], forget: Container[str] = ()) -> None:
        """Record checksums by file name; those of ``forget`` are no longer of use."""
        known = {name: digest for name, digest in self.recorded().items() if name not in forget} | new
        write_text(self.record, "".join(f"{digest}  {name}\n" for name, digest in sorted(known.items())))


def open_client(base_url: str, token: str | None = None) -> httpx.Client:
    """A client that follows redirects and uses the environment's proxies; the token goes to the base URL's host alone.

    Raises:
        UserError: the URL or the token is malformed.
    """
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise UserError(f"{base_url!r} is no URL: {error}", field="--base-url", allowed="http(s)://HOST") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise UserError(f"{base_url!r} is no base URL", field="--base-url", allowed="http(s)://HOST")
    headers = {"Accept-Encoding": "identity", "User-Agent": "mentor"}
    if token is not None:
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise UserError("the token is empty or not one word", field="--token-file", allowed="a file with one token")
        headers["Authorization"] = f"Bearer {token}"  # httpx drops it when a redirect leads to another host
    return httpx.Client(headers=headers, follow_redirects=True, timeout=_TIMEOUT)


def fetch(place: Place, client: httpx.Client, report: Report, policy: RetryPolicy = POLICY) -> Iterator[Fetched]:
    """Fetch, check, unpack; yields every wanted file as it is in its place.

    Raises:
        UserError: no room, no right, no such file on the server, another process at the same entry.
        InfrastructureError: the server cannot be reached, or a checksum is wrong.
    """
    with _locked(place):
        if place.entry.unpack is Unpack.NONE:
            check_room(place.folder, _missing(place))
            for source in place.entry.sources:
                yield _ensure(place, source, client, report, policy)
        elif place.targets[0].exists():
            yield _verified_target(place, report)
        else:
            yield _unpacked(place, client, report, policy)


@contextmanager
def _locked(place: Place) -> Iterator[None]:
    """One process at a time at an entry; the lock goes with the process, the empty file stays."""
    lock = place.folder / f".{place.entry.name}.lock"
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
        file = lock.open("w")
    except OSError as error:
        raise unwritable(lock, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(f"another process is fetching {place.entry.name} to {place.folder}") from error
        yield


def _missing(place: Place) -> int:
    """Bytes still to be written, as far as the catalogue knows."""
    entry = place.entry
    sizes = [source.size for source in entry.sources]
    total = sum(size or 0 for size in sizes)
    if entry.unpack is Unpack.JOIN and None in sizes:
        total = entry.target_size or 0
    paths = [place.folder / source.file for source in entry.sources]
    there = sum(p.stat().st_size for path in paths for p in (path, part_of(path)) if p.exists())
    return max(0, total - there) + entry.room


def _ensure(place: Place, source: Source, client: httpx.Client, report: Report, policy: RetryPolicy) -> Fetched:
    """One source in its place, checked; fetched if it is not there."""
    path, url = place.folder / source.file, place.url(source)
    recorded = place.recorded().get(source.file)
    origin = "the catalogue" if source.sha256 or not recorded else str(place.record)
    wanted = Wanted(source.size, source.sha256 or recorded, origin, place.entry.room)
    came = not path.exists()
    if came:
        digest = download(client, url, path, wanted, policy, report)
    else:
        if wanted.sha256 is None and (remote := probe(client, url)) is not None:
            wanted = Wanted(source.size or remote.size, remote.sha256, "the server")
        digest = _verified(path, wanted, report)
    if recorded is None:
        place.remember({source.file: digest})
    return Fetched(path, path.stat().st_size, digest, came)


def _verified(path: Path, wanted: Wanted, report: Report) -> str:
    """The checksum of a file that is there; removes it if it is not what was wanted."""
    size = path.stat().st_size
    if wanted.size is not None and size != wanted.size:
        path.unlink()
        raise InfrastructureError(f"{path} was removed: it has {size} bytes, {wanted.origin} says {wanted.size}")
    digest = hash_file(path, f"checking {path.name}", report).hexdigest()
    if wanted.sha256 is not None and digest != wanted.sha256:
        path.unlink()
        raise InfrastructureError(f"{path} was removed: its sha256 is {digest}, {wanted.origin} says {wanted.sha256}")
    return digest


def _verified_target(place: Place, report: Report) -> Fetched:
    """An unpacked file that is there."""
    path = place.targets[0]
    recorded = place.recorded().get(path.name)
    if recorded is None:
        _verified_size(place)
    wanted = Wanted(None, recorded, str(place.record))
    digest = _verified(path, wanted, report)
    if recorded is None:
        place.remember({path.name: digest})
    return Fetched(path, path.stat().st_size, digest, came=False)


def _verified_size(place: Place) -> None:
    path, expected = place.targets[0], place.entry.target_size
    size = path.stat().st_size
    if expected is not None and size != expected:
        path.unlink()
        raise InfrastructureError(f"{path} was removed: it has {size} bytes, the catalogue says {expected}")


def _unpacked(place: Place, client: httpx.Client, report: Report, policy: RetryPolicy) -> Fetched:
    """Sources fetched, the target written from them, the sources removed."""
    entry, target = place.entry, place.targets[0]
    check_room(place.folder, _missing(place))
    paths = [_ensure(place, source, client, report, policy).path for source in entry.sources]
    names = [source.file for source in entry.sources]
    try:
        digest = unpack(paths, entry.unpack, target, entry.member, report)
    except Damaged:
        place.remember({}, forget=names)  # or a sound archive would be refused for not being this one
        _remove(paths)
        raise
    _verified_size(place)
    recorded = place.recorded().get(target.name)
    if recorded is not None and recorded != digest:
        target.unlink()
        raise InfrastructureError(f"{target} was removed: its sha256 is {digest}, {place.record} says {recorded}")
    place.remember({target.name: digest}, forget=names)
    _remove(paths)
    return Fetched(target, target.stat().st_size, digest, came=True)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink()


def state(place: Place) -> str:
    """What is there already, in words; nothing is read but sizes."""
    if all(path.exists() for path in place.targets):
        return f"present, {in_words(sum(path.stat().st_size for path in place.targets))}"
    paths = [place.folder / source.file for source in place.entry.sources]
    whole = [path for path in paths if path.exists()]
    coming = [part for path in paths if (part := part_of(path)).exists()]
    if not whole and not coming:
        return "absent"
    if len(whole) == len(paths):
        return "to be unpacked"
    size = sum(path.stat().st_size for path in (*whole, *coming))
    return f"in part, {in_words(size)}: {len(whole)} of {len(paths)} files whole"


def description(place: Place) -> str:
    """What an entry is, where it comes from and goes to, and what of it is there."""
    entry = place.entry
    lines = [f"{entry.name}: {entry.what}"]
    lines += [f"  here      {state(place)}", f"  size      {entry.about}", f"  licence   {entry.licence}"]
    lines += _files(place)
    lines.append(f"  use       {entry.use.format(folder=place.folder)}")
    return "\n".join(lines)


def by_hand(place: Place) -> str:
    """How to place an entry without network, on a machine that has it."""
    lines = [f"To place {place.entry.name} by hand, fetch on a machine with network, and copy here:", *_files(place)]
    lines.append(f"then `mentor data fetch {place.entry.name} --to {place.root}` checks it and does the rest.")
    return "\n".join(lines)


def _files(place: Place) -> list[str]:
    entry, recorded = place.entry, place.recorded()
    lines = []
    for source in entry.sources:
        lines.append(f"  from      {place.url(source)}")
        lines.append(
            f"  to        {place.folder / source.file}{_facts(source.size, source.sha256, recorded, source.file)}"
        )
    if entry.unpack is not Unpack.NONE:
        how = {Unpack.JOIN: "joined", Unpack.GZIP: "gunzipped", Unpack.ZIP: f"*{entry.member} unzipped"}[entry.unpack]
        facts = _facts(entry.target_size, None, recorded, entry.target)
        lines.append(f"  then      {how} to {place.folder / entry.target}{facts}; what came is removed")
    return lines


def _facts(size: int | None, sha256: str | None, recorded: dict[str, str], file: str) -> str:
    digest = sha256 or recorded.get(file)
    facts = [f"{size:,} bytes"] if size is not None else []
    facts += [f"sha256 {digest}"] if digest else []
    return f" ({', '.join(facts)})" if facts else ""
