"""The service's side of the conversation."""

from chatfile.server.activity import REFUSALS_COUNTED, Activity
from chatfile.server.context import Timeouts
from chatfile.server.factory import ChatFileFactory
from chatfile.server.listings import Listings
from chatfile.server.protocol import ChatFileProtocol
from chatfile.server.unseated import MAX_UNSEATED, EvictionRank, UnseatedConnections

__all__ = [
    "MAX_UNSEATED",
    "REFUSALS_COUNTED",
    "Activity",
    "ChatFileFactory",
    "ChatFileProtocol",
    "EvictionRank",
    "Listings",
    "Timeouts",
    "UnseatedConnections",
]
