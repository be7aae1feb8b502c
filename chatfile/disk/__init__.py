"""Threads for what the disk may hold up (design, promise 3): nobody waits for another's disk.

The threads are daemonic and never joined: one that hangs in a call keeps neither another client nor the process.
"""

from chatfile.disk.calls import DiskUnavailable, InThread, acquire, behind
from chatfile.disk.disk import Disk, in_thread
from chatfile.disk.lanes import Lane
from chatfile.disk.workers import ThreadWorker, Worker

__all__ = ["Disk", "DiskUnavailable", "InThread", "Lane", "ThreadWorker", "Worker", "acquire", "behind", "in_thread"]
