"""Threads for calls that block on the disk so that no client waits for the disk of another.

The threads are daemonic and never joined: one that hangs in a call delays neither another client nor the process.
"""

from chatfile.disk.calls import DiskUnavailable, InThread, acquire, result_or, run_unawaited
from chatfile.disk.disk import Disk, in_thread
from chatfile.disk.lanes import Lane, LaneLoad
from chatfile.disk.workers import ThreadWorker, Worker

__all__ = [
    "Disk",
    "DiskUnavailable",
    "InThread",
    "Lane",
    "LaneLoad",
    "ThreadWorker",
    "Worker",
    "acquire",
    "in_thread",
    "result_or",
    "run_unawaited",
]
