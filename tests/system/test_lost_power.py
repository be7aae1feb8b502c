"""Power is lost at every moment of a download, a mirror and a store of digests: what is there is right, and goes on."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chatfile import fdio, paths
from chatfile.digests import store
from chatfile.downloads import ahead, manifest
from chatfile.partfile import names, opening, part, present, saving, spelling, together
from chatfile.receiving import incoming_file, splicing
from tests.support.lost_power import Call, outcomes, syncs_behind_names, without_syncs
from tests.support.recording import Recorder, lay_out, read_disk
from tests.support.saving_scenes import BEGUN, MINE, OF_ANOTHER, Scene, digests, mirror, several, single, spliced

MODULES: tuple[ModuleType, ...] = (
    *(names, opening, part, present, saving, spelling, together),
    *(paths, fdio, manifest, incoming_file, splicing, store),
)
SEED = 1
FEW, MANY = 8, 300
"""How many choices of what was lost are all tried at one moment; of more, as many are chosen by the seed."""
SOME, MOST = 5, 300
"""In how many states of the disk it is done again."""


def no_links(*_: object, **__: object) -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


SCENES: dict[str, Callable[[Path, Path], Scene]] = {
    "new": single,
    "resumed": partial(single, before=BEGUN),
    "broken and resumed": partial(single, breaks=True),
    "of another file": partial(single, before=OF_ANOTHER),
    "replaced": partial(single, before={"a": MINE}, force=True),
    "without digests": partial(single, hashing=False),
    "several": several,
    "mirror": mirror,
    "first mirror": partial(mirror, is_first=True),
    "digests": digests,
}
LACKING: dict[str, tuple[Any, str, Any]] = {
    "without links": (os, "link", no_links),
    "without files that have no names": (together, "_UNNAMED", 0),
}
LONG = {
    "spliced": spliced,
    **{f"{scene}, {lacking}": SCENES[scene] for scene in ("new", "several") for lacking in LACKING},
}
SAVING = [name for name in SCENES if name != "digests"]
"""Where something has a final name; nothing depends on a store of digests, and so nothing of it is synced."""


class Checker:
    """Has power lost in a scene, again and again."""

    def __init__(self, recorder: Recorder, scene: Scene, root: Path) -> None:
        self._recorder = recorder
        self._scene = scene
        self._root = root
        recorder.start()
        assert scene.run() == []
        recorder.stop()
        self.calls = recorder.calls

    def broken(self, calls: Sequence[Call], most: int) -> Iterator[str]:
        """What is wrong with what lost power may leave, by itself."""
        for count, picture in outcomes(self._recorder.before, calls, most=most, seed=SEED):
            yield from (f"{wrong} behind {count} calls" for wrong in self._scene.judge(picture))

    def stuck(self, states: int, most: int) -> Iterator[str]:
        """What is wrong when it is done again in so many of these states."""
        for count in self._behind(states, most):
            wrong = self._scene.again() + self._scene.judge_end(read_disk(self._root))
            yield from (f"{one}, again behind {count} calls" for one in wrong)

    def once_more(self, states: int) -> Iterator[Checker]:
        """Do it in so many of these states, and let power be lost a second time."""
        for _ in self._behind(states, FEW):
            yield Checker(self._recorder, self._scene, self._root)

    def _behind(self, states: int, most: int) -> Iterator[int]:
        """Let the folder be in so many of these states, one after the other; behind how many calls each may come."""
        found = list(outcomes(self._recorder.before, self.calls, most=most, seed=SEED))
        for count, picture in random.Random(SEED).sample(found, min(states, len(found))):
            lay_out(picture, self._root)
            yield count


@pytest.fixture
def checker(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checker:
    root, aside = tmp_path / "disk", tmp_path / "aside"
    root.mkdir()
    aside.mkdir()
    monkeypatch.setattr(store.DigestStore, "LEAST", 3)
    monkeypatch.setattr(ahead, "SMALL", 2000)
    monkeypatch.setattr(splicing.Splice, "PIECE", 64 << 10)
    recorder = Recorder(root)
    recorder.install(monkeypatch, *MODULES)
    lacking = LACKING.get(request.param.partition(", ")[2])
    if lacking is not None:
        monkeypatch.setattr(*lacking)
    checker = Checker(recorder, {**SCENES, **LONG}[request.param](root, aside), root)
    assert "splice" in recorder.seen or request.param != "spliced"
    return checker


@pytest.mark.parametrize("checker", SCENES, indirect=True)
def test_what_is_there_is_right_and_goes_on(checker: Checker) -> None:
    assert list(checker.broken(checker.calls, FEW)) == []
    assert list(checker.stuck(SOME, FEW)) == []


@pytest.mark.slow
@pytest.mark.parametrize("checker", [*SCENES, *LONG], indirect=True)
def test_whatever_is_there_is_right_and_goes_on(checker: Checker) -> None:
    assert list(checker.broken(checker.calls, MANY)) == []
    assert list(checker.stuck(MOST, FEW)) == []


@pytest.mark.slow
@pytest.mark.parametrize("checker", [name for name in SCENES if name != "broken and resumed"], indirect=True)
def test_power_may_be_lost_twice(checker: Checker) -> None:
    for second in checker.once_more(SOME):
        assert list(second.broken(second.calls, FEW)) == []
        assert list(second.stuck(SOME, FEW)) == []


@pytest.mark.parametrize("change", [without_syncs, syncs_behind_names])
@pytest.mark.parametrize("checker", SAVING, indirect=True)
def test_a_program_that_does_not_sync_in_time_is_found_out(
    checker: Checker, change: Callable[[Sequence[Call]], list[Call]]
) -> None:
    assert any("is not whole" in wrong for wrong in checker.broken(change(checker.calls), FEW))
