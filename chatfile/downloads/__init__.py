"""Downloads that can be trusted on disk: resumed, verified, and only then under their final names.

`single` fetches one file of any size; `ahead` fetches many, and asks for small ones ahead of their turns.
"""

from chatfile.downloads.ahead import DownloadAhead
from chatfile.downloads.single import Download, Stage, Step, download

__all__ = ["Download", "DownloadAhead", "Stage", "Step", "download"]
