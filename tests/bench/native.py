"""Sinks and load generators that must not be the bottleneck: C, compiled when the benchmarks start."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).parent / "native"
FALLBACK = Path(__file__).parent / "fallback.py"


class Programs:
    """The programs of `native/`, compiled into a folder where there is a compiler."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._compiler = shutil.which("cc")
        self.are_native = self._compiler is not None

    def command(self, name: str, *arguments: object) -> list[str]:
        """The command that runs the program `name`."""
        start = [str(self._compiled(name))] if self.are_native else [sys.executable, str(FALLBACK), name]
        return [*start, *map(str, arguments)]

    def run(self, name: str, *arguments: object) -> list[float]:
        """Run a program to its end; the numbers that it printed."""
        command = self.command(name, *arguments)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{name} failed: {done.stderr.strip() or done.returncode}")
        return [float(number) for number in done.stdout.split()]

    def library(self, source: Path) -> Path:
        """A library to be preloaded, of which `source` is the C source."""
        library = self._folder / f"{source.stem}.so"
        if not library.exists():
            subprocess.run(
                [str(self._compiler), "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"], check=True
            )
        return library

    def _compiled(self, name: str) -> Path:
        program = self._folder / name
        if not program.exists():
            source = SOURCES / f"{name}.c"
            subprocess.run([str(self._compiler), "-O2", "-o", str(program), str(source)], check=True)
        return program
