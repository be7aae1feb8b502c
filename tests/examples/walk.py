"""Fetches a folder with all folders in it from a chatfile server: python3 walk.py HOST PORT OUTPUT [FOLDER]

With nothing but the standard library. OUTPUT is a new folder, which has its name once every file is whole and verified.
It ends with 0 then; otherwise as chatfile-client does: 2 usage, 3 no greeting, 4 the server is full, 5 it refused,
6 the transfer broke, 7 a digest does not match, 8 nothing can be written. After TIMEOUT (60) seconds of silence it
gives up.
"""

import hashlib
import os
import re
import shutil
import socket
import sys
import tempfile

CODES = {"full": 4, "changed": 6, "timeout": 6, "shutdown": 6, "internal": 6}
FILE_ROW = r"(\d{1,15}) +\S+ (.*)"


def check(is_right: object, code: int, why: str) -> None:
    if not is_right:
        sys.stderr.write(f"walk.py: {why!a}\n")  # what a server says may be more than text to a terminal
        sys.exit(code)


class Server:
    if_lost = 3

    def __init__(self, host: str, port: str) -> None:
        try:
            self.socket = socket.create_connection((host, int(port)), float(os.environ.get("TIMEOUT", "60")))
        except OSError as error:
            check(False, 3, str(error))
        self.stream = self.socket.makefile("rb")

    def ask(self, request: str) -> None:
        check("\n" not in request, 2, "a newline would begin another request")
        self.socket.sendall(os.fsencode(request) + b"\n")

    def line(self, pattern: str) -> "re.Match[str]":  # the next one, which has to match; lines have at most 8192 bytes
        line = self.stream.readline(8193)
        check(line.endswith(b"\n"), self.if_lost, "the connection ended, or the line has no end")
        text = line[:-1].decode(errors="surrogateescape")
        refusal, found = re.match(r"ERROR (\S+) ", text), re.fullmatch(pattern, text, re.DOTALL)
        check(not refusal or found, CODES.get(refusal[1], 5) if refusal else 0, f"the server says: {text}")
        check(found, 6, f"this is not what was asked for: {text}")
        assert found
        return found

    def fetch(
        self, path: str, local: str
    ) -> None:  # FILE, exactly so many bytes, and END, or ERROR changed in its place
        self.ask(f"get {path}")
        left, digest = int(self.line(rf"FILE +(\d{{1,15}}) +\S+ {re.escape(path)}")[1]), hashlib.sha256()
        with open(local, "xb") as file:
            while left and (piece := self.stream.read(min(left, 65536))):
                left -= file.write(piece)
                digest.update(piece)
        check(not left, 6, f"the connection ended within {path}")
        check(self.line("END (.*)")[1].lower() == digest.hexdigest(), 7, f"{path} does not match its digest")


def walk(host: str, port: str, output: str, folder: str = "") -> None:
    check(not os.path.lexists(output), 8, f"{output} exists already and is left as it is")
    server = Server(host, port)
    me = server.line(r"WELCOME (\S+) chatfile/1")[1]
    Server.if_lost = 6
    server.ask(me)
    server.line(re.escape(f"{me} ACK"))
    request = f"tree {folder}/" if folder else "tree"
    server.ask(request)  # which a server without subfolders takes for a message
    head = server.line(rf"TREE +(?P<count>\d{{1,6}})|{re.escape(request)} ACK")
    check(head["count"], 5, "the server serves no subfolders")
    paths = [server.line(FILE_ROW)[2] for _ in range(int(head["count"]))]
    work = tempfile.mkdtemp(dir=os.path.dirname(output) or ".", prefix=".walk.")  # nobody else's links are in it
    try:
        os.makedirs(os.path.join(work, "tree", folder))
        for path in paths:  # names joined by slashes, none of them empty or hidden
            is_path = all(name and not name.startswith(".") and "\0" not in name for name in path.split("/"))
            check(is_path and path.startswith(f"{folder}/" if folder else ""), 6, f"this is no path: {path}")
            local = os.path.join(work, "tree", path)
            os.makedirs(os.path.dirname(local), exist_ok=True)
            server.fetch(path, local)
        os.rename(os.path.join(work, "tree", folder), output)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    check(len(sys.argv) in (4, 5) and sys.argv[2].isdigit(), 2, "usage: python3 walk.py HOST PORT OUTPUT [FOLDER]")
    try:
        walk(*sys.argv[1:])
    except (ConnectionError, TimeoutError) as error:
        check(False, Server.if_lost, str(error))
    except OSError as error:
        check(False, 8, str(error))
    except KeyboardInterrupt:
        sys.exit(130)
