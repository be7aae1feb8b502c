"""What saves files, done in a folder that is recorded, and done again when power was lost meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred

from chatfile import errors, wire
from chatfile.digests import KnownDigests
from chatfile.digests.keeper import DigestKeeper
from chatfile.digests.store import NAME as STORE
from chatfile.digests.versions import Version
from chatfile.downloads import Download, DownloadAhead, download
from chatfile.downloads.manifest import NAME as MANIFEST
from tests.support.joined import OverTcp
from tests.support.leftovers import at_end
from tests.support.linked import CONTENT, Link, outcome
from tests.support.lost_power import Picture
from tests.support.mirrored import Mirrored
from tests.support.serving import OLD, Server
from tests.support.transports import at_once, turn_over

MINE = b"mine"
PIECE = 4096
Stored = tuple[bytes, int]
"""A file's content and time."""


@dataclass
class Scene:
    """What is done while power may be lost, and what may be there then."""

    run: Callable[[], list[str]]
    """Does it; the result is what was wrong."""
    again: Callable[[], list[str]]
    """Does it once more, whatever is there now; and what else may follow."""
    end: dict[str, Stored]
    """What is there in the end, by paths."""
    finals: dict[str, set[Stored | None]]
    """The final names, and what each may have at any time. All others in the end are there all the time."""
    scratch: set[str] = field(default_factory=set)
    """What may be there as well, whatever it is."""
    left: set[str] = field(default_factory=lambda: {MANIFEST, f"{MANIFEST}.new", STORE})
    """The names of what may be there in the end as well."""
    unknown: Callable[[Picture], list[str]] = lambda _: []
    """What of a picture nobody will know, though it should be known."""

    def judge(self, picture: Picture) -> list[str]:
        """What of a picture should never be."""
        found = _stored(picture)
        return [
            _tell(path, found.get(path), self.finals.get(path, {self.end.get(path)}))
            for path in (self.end.keys() | self.finals.keys() | found.keys()) - self.scratch
            if found.get(path) not in self.finals.get(path, {self.end.get(path)})
        ] + self.unknown(picture)

    def judge_end(self, picture: Picture) -> list[str]:
        """What of a picture should not be in the end."""
        found = {path: file for path, file in _stored(picture).items() if os.path.basename(path) not in self.left}
        return [_tell(path, found.get(path), {self.end.get(path)}) for path, _ in found.items() ^ self.end.items()]


def _stored(picture: Picture) -> dict[str, Stored]:
    return {path: (file.content, file.mtime or 0) for path, file in picture.items() if file is not None}


def _tell(path: str, file: Stored | None, expected: set[Stored | None]) -> str:
    if file is None:
        return f"{path} is gone"
    is_whole = any(each and each[0] == file[0] for each in expected)
    return f"{path} is of {file[1]}" if is_whole else f"{path} is not whole: {len(file[0])} bytes, {file[0][:20]!r}"


def put(place: Path, content: bytes, time: int = OLD) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    os.utime(place, (time, time))


def _beside(path: str) -> set[str]:
    folder, name = os.path.split(path)
    return {os.path.join(folder, f".{name}{suffix}") for suffix in (".part", ".note")}


# --- downloads ---

BEGUN = {".a.part": CONTENT[:5000], ".a.note": b"[%d, %d]" % (len(CONTENT), OLD)}
"""What an earlier download has left."""
OF_ANOTHER = {".a.part": bytes(20_000), ".a.note": b"[%d, %d]" % (20_000, OLD)}
"""The same, when the server's file was another one."""


def single(
    root: Path,
    aside: Path,
    *,
    before: dict[str, bytes] | None = None,
    force: bool = False,
    hashing: bool = True,
    breaks: bool = False,
) -> Scene:
    """One file is downloaded into a folder where something is there before; perhaps the connection breaks first."""
    put(aside / "served/a", CONTENT)
    server, folder = Server(aside / "served", limit=100, hashing=hashing), root / "downloads"
    for name, content in {"mine": MINE, **(before or {})}.items():
        put(folder / name, content)

    def get(cut_after: int | None = None) -> Any:
        link = Link(server, folder)
        link.piece, link.cut_after = PIECE, cut_after
        getting = link.get(force=force)
        link.cut()
        return outcome(getting)

    def run() -> list[str]:
        if breaks:
            assert isinstance(get(PIECE + 1000), errors.ServerClosed)
        return again()

    def again() -> list[str]:
        result = get()
        is_unknown = isinstance(result, errors.TargetExists) and not hashing  # nothing shows that it is the same
        return [] if isinstance(result, Download) or is_unknown else [repr(result)]

    new, old = (CONTENT, OLD), (before["a"], OLD) if before and "a" in before else None
    one = Scene(run, again, {"downloads/a": new, "downloads/mine": (MINE, OLD)}, {"downloads/a": {old, new}})
    one.scratch = _beside("downloads/a")
    one.left = set() if hashing else {".a.note"}
    return one


SMALL = {f"small-{number}": b"%d" % number * 100 for number in range(5)} | {"empty": b""}


def several(root: Path, aside: Path) -> Scene:
    """Small files are saved together, in a folder that is not there before."""
    for name, content in SMALL.items():
        put(aside / "served" / name, content)
    put(root / "mine", MINE)
    server, folder = Server(aside / "served", limit=100), root / "downloads"

    def fetch() -> list[str]:
        link = Link(server, folder)
        listing = link.client.listing()
        link.carry()
        ahead = DownloadAhead(outcome(listing), str(folder), in_thread=at_once)

        async def get_all() -> list[Download]:
            return [await ahead.download(link.client, number) for number in range(len(SMALL))]

        getting = Deferred.fromCoroutine(get_all())
        while not getting.called:
            link.carry()
            turn_over(server.clock)
        link.cut()
        result = outcome(getting)
        return [] if isinstance(result, list) else [repr(result)]

    end = {f"downloads/{name}": (content, OLD) for name, content in SMALL.items()}
    scratch = set().union(*map(_beside, end))
    return Scene(fetch, fetch, end | {"mine": (MINE, OLD)}, {path: {None, file} for path, file in end.items()}, scratch)


def spliced(root: Path, aside: Path) -> Scene:
    """A file comes over a real socket, and passes into the part file within the system."""
    content = CONTENT * 30
    put(aside / "served/a", content)
    put(root / "mine", MINE)
    joined = OverTcp(aside / "served")
    joined.connect()
    at_end(joined.close)
    at_end(joined.disconnect)

    def get() -> list[str]:
        coroutine = download(joined.client, "a", str(root / "downloads"), in_thread=joined.in_thread)
        result = joined.result_of(Deferred.fromCoroutine(coroutine))
        return [] if isinstance(result, Download) else [repr(result)]

    end = {"downloads/a": (content, OLD), "mine": (MINE, OLD)}
    return Scene(get, get, end, {"downloads/a": {None, (content, OLD)}}, _beside("downloads/a"))


# --- mirrors ---

STAYS = {"stays/same": b"same", "stays/touched": b"touched"}
EARLIER = {"new/version": b"old", "gone/away": b"gone", "left/alone": b"gone", "over/old": b"gone", **STAYS}
NOW = {
    "docs/ab": b"same size",
    "docs/deep/c": b"c" * 3000,
    "docs/mine": b"?",
    "new/version": b"another",
    "over/new": b"",
    **STAYS,
}
LATER = {"docs/deep/c": b"C" * 2000, "docs/mine": b"!", "new/version": b"and another", "over/new": b"now"}
FETCHED = (EARLIER.keys() | NOW.keys()) - STAYS.keys() - {"docs/mine"}
OWN = {"docs/a": b"size same", "docs/mine": MINE, "gone/mine": MINE}


def mirror(root: Path, aside: Path, *, is_first: bool = False) -> Scene:
    """A mirror has files that are new, replaced and removed, and folders made; later, the same of what it has now.

    What it has fetched it may replace and remove, what is the user's own it may not.
    """
    local, files = root / "local", ({} if is_first else EARLIER, NOW, LATER)
    earlier, now, later = (_mirrored(aside / str(time), files[time], local, time) for time in range(3))
    if not is_first:
        assert not _mirror_wrong(earlier, EARLIER)
    for name, content in OWN.items():
        put(local / name, content)

    def again() -> list[str]:
        return _mirror_wrong(now, NOW | OWN) + _mirror_wrong(later, LATER | OWN)

    finals = {f"local/{name}": {_stored_at(files, time, name) for time in (0, 1)} for name in FETCHED | STAYS.keys()}
    scratch = {f"local/{name}" for name in (MANIFEST, f"{MANIFEST}.new")}.union(*map(_beside, finals))
    end: dict[str, Stored] = {f"local/{name}": (content, _time(name, 2)) for name, content in LATER.items()}
    own = {f"local/{name}": (content, OLD) for name, content in OWN.items()}
    return Scene(lambda: _mirror_wrong(now, NOW | OWN), again, end | own, finals, scratch, unknown=_unknown)


def _stored_at(files: Sequence[dict[str, bytes]], time: int, name: str) -> Stored | None:
    content = files[time].get(name)
    return None if content is None else (content, _time(name, time))


def _unknown(picture: Picture) -> list[str]:
    """The files that a mirror has fetched, and that it would take for the user's own."""
    noted = picture.get(f"local/{MANIFEST}")
    rows = noted.content.split(b"\n") if noted is not None else []
    return [
        f"{path} is not known"
        for path, file in picture.items()
        if file is not None and (name := path.removeprefix("local/")) in FETCHED
        if wire.format_reply(wire.FileRow(len(file.content), file.mtime or 0, name)) not in rows
    ]


def _time(name: str, number: int) -> int:
    return OLD + 10 * number * (name != "stays/same")


def _mirrored(folder: Path, files: dict[str, bytes], local: Path, number: int) -> Mirrored:
    folder.mkdir()
    one = Mirrored(folder, {})
    for name, content in files.items():
        one.put(name, content, time=_time(name, number))
    one.local = local
    return one


def _mirror_wrong(mirrored: Mirrored, expected: dict[str, bytes]) -> list[str]:
    results, _ = mirrored.mirror(delete=True)
    left = results.pop("docs/mine", None)
    wrong = [f"{name}: {result!r}" for name, result in results.items() if not isinstance(result, Download)]
    if "docs/mine" in expected and not isinstance(left, errors.TargetExists):
        wrong.append(f"docs/mine: {left!r}")
    found = mirrored.files()
    return wrong + [
        f"{name} is {found.get(name)!r:.40} behind a mirror"
        for name in found.keys() | expected.keys()
        if found.get(name) != expected.get(name)
    ]


# --- the server's store of digests ---


def _digest(number: int) -> tuple[Version, str]:
    return (0, number, 10, 20, 31), f"{number:02}" * 32


def digests(root: Path, aside: Path) -> Scene:
    """A store is appended to, and compacted in place; what is known from it was written, whatever happened."""
    folder = root / "state"
    folder.mkdir()
    _keep(folder, range(10, 20))

    def run() -> list[str]:
        return _keep(folder, range(20, 25)) + _keep(folder, range(25, 30))

    def again() -> list[str]:
        return _keep(folder, range(90, 93)) + _keep(folder, (), known=range(90, 93))

    return Scene(run, again, {}, {}, {f"state/{STORE}"})


def _keep(folder: Path, new: Sequence[int], known: Sequence[int] = ()) -> list[str]:
    """Have a server know some more digests, of the few that it may know; what it knows wrongly or not at all."""
    digests, tasks = KnownDigests(4), list[Callable[[], None]]()
    keeper = DigestKeeper(str(folder), digests, lambda tell, *arguments, **named: tell(*arguments, **named))
    keeper.start(lambda: SimpleNamespace(do=tasks.append, quit=lambda: None))
    tasks.pop()()
    found = {number: digests.find(_digest(number)[0]) for number in range(10, 100)}
    for number in new:
        digests.add(*_digest(number))
    keeper.close()
    for task in tasks:
        task()
    wrong = [number for number, sha256 in found.items() if sha256 not in (None, _digest(number)[1])]
    return [f"{number} has another digest" for number in wrong] + [
        f"{each} is lost" for each in known if not found[each]
    ]
