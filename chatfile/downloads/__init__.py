"""Downloads that can be trusted on disk: resumed, verified, and only then under their final names.

`single` fetches one file of any size; `ahead` fetches many, and asks for small ones ahead of their turns; `mirror`
makes a local folder what a folder of the server is.
"""

from chatfile.downloads.ahead import DownloadAhead
from chatfile.downloads.manifest import Removal
from chatfile.downloads.mirror import Mirror, MirrorFilter
from chatfile.downloads.single import download
from chatfile.downloads.sums import format_sums, parse_sums
from chatfile.downloads.target import Download, Stage, Step

__all__ = [
    "Download",
    "DownloadAhead",
    "Mirror",
    "MirrorFilter",
    "Removal",
    "Stage",
    "Step",
    "download",
    "format_sums",
    "parse_sums",
]
