"""What `twistd chatfile` finds; it imports nothing more, since every start of twistd loads it."""

from twisted.application.service import ServiceMaker

chatfile = ServiceMaker("chatfile", "chatfile.service", "A file server you can talk to.", "chatfile")
