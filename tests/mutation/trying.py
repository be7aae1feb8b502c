"""A process for each change, forked where all that the change leaves as it is has been imported already."""

from __future__ import annotations

import gc
import os
import resource
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from inspect import CO_NEWLOCALS
from pathlib import Path
from types import CodeType, FunctionType

import pytest
import twisted.protocols.basic
import twisted.trial.unittest  # noqa: F401 -- so that no child need do it
from hypothesis import Phase, settings

SECONDS = 60
"""For which one test may last: more is a change that makes it wait for ever."""
PROCESSOR = 30
"""Seconds of it that all tests of a change may take: more is a change that makes one go on for ever."""
MEMORY = 4 << 30
"""Bytes."""
_FAILED = 77
_OPTIONS = ["-x", "-q", "-n0", "-p", "no:cacheprovider", f"--timeout={SECONDS}"]


@dataclass(frozen=True)
class Trial:
    """A change, and the tests that reach it; the empty name of one stands for an import."""

    name: str
    path: Path
    source: str
    tests: Sequence[str]


def try_in_place(trials: Sequence[Trial], tests: Sequence[str]) -> Mapping[str, str]:
    """Collect the tests, then try each change of a function in that function; only a fresh process can.

    What becomes of a change is that it is "killed", "hangs" or has "survived"; or is "broken", no program at all. What
    survives, but is run by an import, and what is no change of a function, is left out.
    """
    settled = {trial.name: "broken" for trial in trials if not _is_program(trial)}
    forking = _Forking([trial for trial in trials if trial.name not in settled and dict(changes(trial))])
    with _scratch():
        pytest.main([*_OPTIONS, *tests], plugins=[forking])
    return settled | forking.settled


def try_anew(trials: Sequence[Trial], tests: Sequence[str]) -> Mapping[str, str]:
    """Import everything for each change, and try it on all of the tests."""
    with _scratch():
        return {trial.name: _outcome(lambda trial=trial: _import_and_run(trial, tests)) for trial in trials}


def changes(trial: Trial) -> Iterator[tuple[object, CodeType]]:
    """The code of each function that is another, as it is known again, with what it becomes."""
    texts = trial.path.read_text(), trial.source
    pairs = [tuple(compile(text, trial.path, "exec", dont_inherit=True) for text in texts)]
    while pairs:
        was, becomes = pairs.pop()
        if was != becomes and was.co_flags & CO_NEWLOCALS:
            yield _key(was), becomes
        inner = ([each for each in code.co_consts if isinstance(each, CodeType)] for code in (was, becomes))
        pairs += zip(*inner, strict=False)


def _key(code: CodeType) -> object:
    constants = tuple(repr(each) for each in code.co_consts if not isinstance(each, CodeType))
    return code.co_name, code.co_firstlineno, code.co_code, constants


class _Quick:
    """Examples are few and always the same, a failing one need not be made smaller, and one failure is enough."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self) -> None:
        phases = [Phase.explicit, Phase.generate]
        settings.register_profile("mutants", derandomize=True, phases=phases, max_examples=40)
        settings.load_profile("mutants")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Have what takes long, as many examples do, come last."""
        items.sort(key=lambda item: item.name == "runTest" or hasattr(getattr(item, "obj", None), "hypothesis"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os._exit(_FAILED)


class _Forking(_Quick):
    def __init__(self, trials: Sequence[Trial]) -> None:
        self._trials = trials
        self.settled: dict[str, str] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        gc.unfreeze()  # or they aren't found
        functions = [each for each in gc.get_objects() if isinstance(each, FunctionType)]
        gc.freeze()
        for trial in self._trials:
            outcome = _outcome(lambda trial=trial: self._run(trial, session.items, functions))
            if outcome != "survived" or "" not in trial.tests:
                self.settled[trial.name] = outcome
        return True

    def _run(self, trial: Trial, items: Sequence[pytest.Item], functions: Sequence[FunctionType]) -> int:
        changed = dict(changes(trial))
        for each in functions:
            if each.__code__.co_filename == str(trial.path.resolve()):
                each.__code__ = changed.get(_key(each.__code__), each.__code__)
        chosen = [item for item in items if item.nodeid in trial.tests]
        for item, following in zip(chosen, [*chosen[1:], None], strict=False):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        return 0


def _import_and_run(trial: Trial, tests: Sequence[str]) -> int:
    read = SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, name: str) -> CodeType | None:
        if Path(loader.path).resolve() == trial.path.resolve():
            return compile(trial.source, loader.path, "exec", dont_inherit=True)
        return read(loader, name)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
    return 2 * pytest.main([*_OPTIONS, *tests], plugins=[_Quick()])  # 1 is for what hangs


def _is_program(trial: Trial) -> bool:
    try:
        return compile(trial.source, trial.path, "exec", dont_inherit=True).co_consts != (None,)
    except SyntaxError:
        return False


def _outcome(run: Callable[[], int]) -> str:
    if pid := os.fork():
        _, status = os.waitpid(pid, 0)
        hangs = os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 1  # as tests/conftest.py ends it
        return "survived" if status == 0 else "hangs" if hangs else "killed"
    code = _FAILED
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR, PROCESSOR))
        code = run()
    finally:
        os._exit(code)


def _scratch() -> tempfile.TemporaryDirectory[str]:
    """Whatever tests leave of their folders, as they are ended, goes with this one."""
    folder = tempfile.TemporaryDirectory(prefix="chatfile-mutants-", ignore_cleanup_errors=True)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = folder.name
    return folder
