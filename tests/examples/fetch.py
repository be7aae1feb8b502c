# Fetches a file from a chatfile server and verifies it, on a board with MicroPython: fetch("192.0.2.1", 5000, "a.py").
# 1 KiB of it is in memory at a time, and nothing is replaced. In a shell, micropython fetch.py HOST PORT NAME [OUTPUT]
# ends with the exit codes of chatfile-client, and gives up after TIMEOUT (60) seconds of silence.
import hashlib
import os
import socket
import sys


def check(is_right, code, why):
    if not is_right:
        raise RuntimeError(code, why)


def attempt(code, call, *arguments):  # what the network can make fail
    try:
        return call(*arguments)
    except OSError as error:
        raise RuntimeError(code, str(error).encode())  # noqa: B904 -- MicroPython has no chains


def reply(stream, lost=6):  # the next line, of 8192 bytes at most, without its end
    line = attempt(lost, stream.readline, 8193) or b""
    check(line[-1:] == b"\n", 6 if line[8192:] else lost, b"the connection ended, or a line that has no end")
    code = line.split(b" ")[1] if line[:6] == b"ERROR " else None
    check(not code, {b"full": 4, b"changed": 6, b"timeout": 6, b"shutdown": 6, b"internal": 6}.get(code, 5), line[:-1])
    return line[:-1]


def exists(path):
    try:
        return os.stat(path)
    except OSError:
        return None


def fetch(host, port, name, to=None, timeout=60):  # raises RuntimeError, or OSError for the local file
    to, part, wanted = to or name, (to or name) + ".fetch", name.encode()
    check(wanted and b"/" not in wanted and b"\n" not in wanted, 2, b"no file of a chatfile server has that name")
    check(not exists(to), 8, b"it exists already and is left as it is")
    where = attempt(3, socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM)[0]
    connection = socket.socket(*where[:3])
    connection.settimeout(timeout)
    try:
        attempt(3, connection.connect, where[-1])
        stream = connection.makefile("rb")
        hello = reply(stream, 3).split(b" ")  # the server speaks first: WELCOME <its name for us> chatfile/1
        check(hello[::2] == [b"WELCOME", b"chatfile/1"], 6, b"this is no chatfile/1 server")
        attempt(6, connection.sendall, hello[1] + b"\nget " + wanted + b"\nexit\n")  # at once: replies keep their order
        check(reply(stream) == hello[1] + b" ACK", 6, b"not the acknowledgement of its name for us")
        line = reply(stream)  # FILE <size> <mtime> <name>: the name is everything behind one space
        fields = line[: -len(wanted) - 1].split()
        is_header = fields[:1] == [b"FILE"] and len(fields) == 3 and fields[1].isdigit()
        check(is_header and line.endswith(b"Z " + wanted), 6, b"not the header of that file: " + line)
        left, digest, buffer = int(fields[1]), hashlib.sha256(), memoryview(bytearray(1024))
        with open(part, "wb") as file:
            while left:  # exactly so many bytes, and then END <sha256>
                count = attempt(6, stream.readinto, buffer[: min(left, 1024)])
                check(count, 6, b"the connection ended within the file")
                digest.update(buffer[:count])
                left -= file.write(buffer[:count])
        end, wanted = reply(stream), b"END " + digest.digest().hex().encode()
        check(end == wanted, 7 if end[:4] == b"END " else 6, b"not the digest, the file was not kept: " + end)
        check(not exists(to), 8, b"it exists by now and is left as it is")
        os.rename(part, to)
    finally:
        connection.close()
        if exists(part):
            os.remove(part)


if __name__ == "__main__":
    try:
        check(len(sys.argv) in (4, 5) and sys.argv[2].isdigit(), 2, b"usage: fetch.py HOST PORT NAME [OUTPUT]")
        fetch(sys.argv[1], int(sys.argv[2]), *sys.argv[3:], timeout=int(os.getenv("TIMEOUT") or 60))
    except (RuntimeError, OSError) as error:  # what a server says may be more than text to a terminal
        code, why = error.args if isinstance(error, RuntimeError) else (8, str(error).encode())
        sys.stderr.write("".join([chr(byte) if 32 <= byte < 127 else "?" for byte in b"fetch.py: " + why]) + "\n")
        sys.exit(code)
