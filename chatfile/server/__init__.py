"""The service's side of the conversation."""

from chatfile.server.factory import ChatFileFactory
from chatfile.server.protocol import ChatFileProtocol
from chatfile.server.table import Timeouts

__all__ = ["ChatFileFactory", "ChatFileProtocol", "Timeouts"]
