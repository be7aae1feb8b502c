"""A tree on the server that changes all the while, and clients that mirror it, list it, and fetch by patterns."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from random import Random

from chatfile.downloads.manifest import NAME
from tests.soak.programs import LONGEST, command, run
from tests.soak.records import records, versions
from tests.soak.stage import RawTurn, Stage
from tests.soak.waiting import wait_until
from tests.support.trees import tree

FOLDER = "tree"
FOLDERS = ("a", "b", "b/deep", "c", "c/d/e")
NAMES = ("0.bin", "1.bin", "two words.bin", "größe.bin")
MOST = 40
"""Records of a file: some of these files are small ones to the server, some are not."""
LONG_AGO = 1_700_000_000
OURS = {"a/0.bin": b"mine", "b/mine.txt": b"mine too", "z/mine.txt": b"and mine"}
"""What the user of a mirror has in its folder; the first has the path of a file of the server's."""
AMID_CHANGES = {0, 5, 8}
"""The exit statuses of a mirror: a file was gone in the meantime, or one of the user's is in the way."""


class ChangingTree:
    """The tree, what each of its files is, and what they have been."""

    def __init__(self, root: Path) -> None:
        self._folder = root / FOLDER
        self._outside = root.parent / "outside"
        self._outside.mkdir()
        (self._outside / "secret.bin").write_bytes(b"secret")
        self._folder.mkdir()
        self._version = 0
        self.lock = threading.Lock()
        """Held where it has to stand still."""
        self.files: dict[str, int] = {}
        """The version of each that is there; what is behind a link is not."""
        self.history: defaultdict[str, set[int]] = defaultdict(set)
        """All versions that have ever been at a path."""
        for folder in FOLDERS:
            for name in NAMES:
                self._put(f"{folder}/{name}", 1)

    def change(self, _: Stage, rng: Random) -> None:
        """In one of the ways that there are."""
        with self.lock:
            rng.choice([self._replace, self._replace, self._remove, self._move, self._hide])(rng)

    def _replace(self, rng: Random) -> None:
        self._put(f"{rng.choice(FOLDERS)}/{rng.choice(NAMES)}", rng.randint(1, MOST))

    def _put(self, path: str, count: int) -> None:
        """A new file, whole from the first moment on, with a time that no other one has."""
        self._version += 1
        fresh = self._outside / "fresh"
        fresh.write_bytes(records(0, count, self._version))
        os.utime(fresh, (LONG_AGO + self._version,) * 2)
        place = self._folder / path
        for folder in reversed(place.relative_to(self._folder).parents):
            if (self._folder / folder).is_symlink():
                (self._folder / folder).unlink()
        place.parent.mkdir(parents=True, exist_ok=True)
        self._note({**self.files, path: self._version})
        fresh.replace(place)

    def _remove(self, rng: Random) -> None:
        if len(self.files) > len(NAMES):
            path = rng.choice(sorted(self.files))
            (self._folder / path).unlink()
            self._note({other: version for other, version in self.files.items() if other != path})

    def _move(self, rng: Random) -> None:
        """A folder takes the place of another one, with all that is in it."""
        here, there = rng.sample(["a", "b", "c"], 2)
        if any(path.startswith(f"{here}/") for path in self.files):
            self._clear(there)
            self._note({_moved(path, here, there): version for path, version in self.files.items()})
            (self._folder / here).rename(self._folder / there)

    def _hide(self, rng: Random) -> None:
        """A link to what is not served in the place of a folder."""
        if len(self.files) > len(NAMES):
            folder = rng.choice(["a", "c"])
            self._clear(folder)
            (self._folder / folder).symlink_to(self._outside)

    def _clear(self, folder: str) -> None:
        path = self._folder / folder
        if path.is_symlink():
            path.unlink()
        elif path.exists():
            shutil.rmtree(path)
        self._note({other: version for other, version in self.files.items() if not other.startswith(f"{folder}/")})

    def _note(self, files: dict[str, int]) -> None:
        """Before it is so, or a client could have what is not known here."""
        self.files = files
        for path, version in files.items():
            self.history[path].add(version)

    def check(self, path: str, content: bytes) -> int:
        """The version of what a client has got from a path: one, whole, and it has been there."""
        (version,) = versions(content)
        assert version in self.history[path], f"{path} never was what a client has of it"
        return version


def _moved(path: str, here: str, there: str) -> str:
    return f"{there}/{path.removeprefix(f'{here}/')}" if path.startswith(f"{here}/") else path


# --- its clients ---


def mirroring(changing: ChangingTree) -> RawTurn:
    """An actor that mirrors the tree into a folder in which there is something already."""

    def mirror(stage: Stage, rng: Random) -> None:
        with tempfile.TemporaryDirectory(dir=stage.scratch) as name:
            for path, content in OURS.items():
                (Path(name) / "copy" / path).parent.mkdir(parents=True, exist_ok=True)
                (Path(name) / "copy" / path).write_bytes(content)
            if rng.random() < 0.5:
                status = _mirror(stage, name, interrupted=rng.random())
                assert status in {130, -signal.SIGINT, *AMID_CHANGES}, status
            status = _mirror(stage, name)
            assert status in AMID_CHANGES, status
            look_at_mirror(changing, Path(name))
            with changing.lock:
                status = _mirror(stage, name)
                assert status == (8 if "a/0.bin" in changing.files else 0), status
                assert look_at_mirror(changing, Path(name)) == {**changing.files, **dict.fromkeys(OURS)}
        stage.tally.count("mirrors of a changing tree")

    return mirror


def _mirror(stage: Stage, folder: str, interrupted: float | None = None) -> int:
    """The exit status of a mirror; it is interrupted so many seconds after it has begun, and then it is slower."""
    slowly = [] if interrupted is None else ["--limit-rate=1M"]
    words = command(stage, "-q", "mirror", FOLDER, "-d", "copy", "--delete", *slowly)
    nothing = subprocess.DEVNULL
    with subprocess.Popen(words, cwd=folder, stdin=nothing, stdout=nothing, stderr=nothing) as process:
        try:
            if interrupted is not None:
                _interrupt(process, Path(folder, "copy", NAME), interrupted)
            return process.wait(LONGEST)
        finally:
            process.kill()


def _interrupt(process: subprocess.Popen[bytes], notes: Path, seconds: float) -> None:
    """From its notes on, it is no longer about to start."""
    wait_until(lambda: notes.exists() or process.poll() is not None, "a mirror does not begin")
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)


def look_at_mirror(changing: ChangingTree, folder: Path) -> dict[str, int | None]:
    """The version of each file of the mirror, and None for what is the user's, which is as it was."""
    found: dict[str, int | None] = {}
    for path, content in tree(folder / "copy").items():
        hidden = path.rpartition("/")[2].startswith(".")
        if isinstance(content, bytes) and not hidden:
            found[path] = None if content == OURS.get(path) else changing.check(path, content)
    assert set(OURS) <= {path for path, version in found.items() if version is None}, "a file of the user's is gone"
    return found


def looking_through(changing: ChangingTree) -> RawTurn:
    """An actor that lists the tree, and fetches what matches a pattern."""

    def look(stage: Stage, _: Random) -> None:
        with tempfile.TemporaryDirectory(dir=stage.scratch) as name:
            listed = run(stage, Path(name), "tree", FOLDER)
            assert listed.returncode == 0, listed.stderr
            for row in listed.stdout.decode().splitlines():
                path = row.split(maxsplit=2)[2].removeprefix(f"{FOLDER}/")
                assert path in changing.history, f"{path} has never been there"
            got = run(stage, Path(name), "get", f"{FOLDER}/*/*.bin")
            assert got.returncode in {0, 5}, (got.returncode, got.stderr[-500:])
            for path, content in tree(Path(name)).items():
                if isinstance(content, bytes) and not path.rpartition("/")[2].startswith("."):
                    changing.check(path.removeprefix(f"client_downloads/{FOLDER}/"), content)
                    stage.tally.count("files of a changing tree whole")

    return look
