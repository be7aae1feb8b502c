"""The service of `twistd chatfile`, which finds `Options` and `makeService` here."""

from chatfile.options import Options
from chatfile.service.failures import CannotStart
from chatfile.service.making import makeService
from chatfile.service.service import ChatFileService

__all__ = ["CannotStart", "ChatFileService", "Options", "makeService"]
