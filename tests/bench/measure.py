"""Alternating runs, and what the kernel knows of a process."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True)
class Figures:
    """What one benchmark read, run by run, in `unit`; `theirs` is empty where there is no peer."""

    unit: str
    ours: Sequence[float]
    theirs: Sequence[float] = ()
    note: str = ""

    def compared(self) -> list[float]:
        """The ratio of each pair; without a peer, our own readings."""
        if not self.theirs:
            return list(self.ours)
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    def median(self) -> float:
        """What is held against the goal."""
        return median(self.compared())


def alternate(
    unit: str, runs: int, ours: Callable[[], float], theirs: Callable[[], float], note: Callable[[], str] = str
) -> Figures:
    """Run both in turn, after a first pair that is not counted: it warms caches and lazy imports."""
    ours(), theirs()
    pairs = [(ours(), theirs()) for _ in range(runs)]
    return Figures(unit, [pair[0] for pair in pairs], [pair[1] for pair in pairs], note())


def seconds_of(command: Sequence[str]) -> float:
    """How long a whole process takes, its start included; it must succeed."""
    began = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    took = time.perf_counter() - began
    _check(command, done.returncode, done.stderr)
    return took


def cpu_of(command: Sequence[str], *servers: int) -> float:
    """CPU time of a whole process, which must succeed, and of the servers with these pids meanwhile."""
    before = _cpu_of_ended() + sum(map(cpu_seconds, servers))
    seconds_of(command)
    return _cpu_of_ended() + sum(map(cpu_seconds, servers)) - before


def _cpu_of_ended() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def seconds_of_all(commands: Sequence[Sequence[str]]) -> float:
    """How long it takes from the start of all these processes to the end of the last one."""
    began = time.perf_counter()
    processes = [
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for command in commands
    ]
    try:
        errors = [process.communicate()[1] for process in processes]
        took = time.perf_counter() - began
    finally:
        for process in processes:
            process.kill()  # where an interruption came before its end
            process.wait()
    for command, process, error in zip(commands, processes, errors, strict=True):
        _check(command, process.returncode, error)
    return took


def _check(command: Sequence[str], status: int, error: bytes) -> None:
    if status != 0:
        raise RuntimeError(f"{Path(command[0]).name} ended with {status}: {error.decode(errors='replace').strip()}")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, all its threads, also those that have ended."""
    clock = (~pid << 3) | 2  # as clock_getcpuclockid makes it: in ns, where /proc counts in ticks of 10 ms
    return time.clock_gettime_ns(clock) / 1e9


def resident_bytes(pid: int) -> int:
    """Memory that a process has at present; exact, unlike VmRSS, which lags behind."""
    return _kibibytes(f"/proc/{pid}/smaps_rollup", "Rss") * 1024


def forget_peak(pid: int) -> None:
    """Let `peak_bytes` count from now on."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had since `forget_peak`."""
    return _kibibytes(f"/proc/{pid}/status", "VmHWM") * 1024


def _kibibytes(table: str, field: str) -> int:
    rows = Path(table).read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith(f"{field}:"))
