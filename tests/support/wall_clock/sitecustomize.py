"""A wall clock that somebody sets each time it is looked at, by as many seconds as WALL_CLOCK_STEP says.

Python imports this at its start, in a process whose PYTHONPATH has this folder.
"""

import itertools
import os
import time

_real, _steps = time.time, itertools.count(1)
_step = float(os.environ["WALL_CLOCK_STEP"])

time.time = lambda: _real() + _step * next(_steps)
