"""The servers that are measured, each on a free port of the loopback interface, ended with the `with` block."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 30.0
"""Seconds that a server may take to start."""
SCRIPTS = Path(sys.executable).parent
"""Where `twistd` and `chatfile-client` are."""
IS_ROOT = os.geteuid() == 0


class Absent(Exception):
    """What a comparison needs is not there, on this machine."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that answers at `port`; `pid` is of the process that does the work."""

    pid: int
    port: int


def program(name: str) -> str:
    """The path of a program that is installed; daemons are often not on a user's path."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")
    if path is None:
        raise Absent(f"{name} is not installed")
    return path


@contextmanager
def running(command: Sequence[object], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own group, which is killed at the end with all that it has started."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    except Exception as error:
        if process.poll() is not None:
            last = log.read_text(errors="replace")[-500:]
            raise RuntimeError(f"{error}; {process.args!r} had ended with {process.returncode}: {last}") from error
        raise
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended already
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], log: Path, is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"did not start: {process.args!r}: {log.read_text(errors='replace')[-500:]}")
        time.sleep(0.01)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _listening(port: int, log: Path, *command: object) -> Iterator[Peer]:
    with running(command, log) as process:
        _wait(process, log, lambda: _answers(port))
        yield Peer(process.pid, port)


@contextmanager
def chatfile(scratch: Path, folder: Path, *options: object, settings: Sequence[str] = ()) -> Iterator[Peer]:
    """`twistd chatfile` for `folder`; `settings` are those of its environment, `NAME=VALUE`."""
    descriptor, path = tempfile.mkstemp(prefix="chatfile-", suffix=".log", dir=scratch)
    os.close(descriptor)
    log = Path(path)
    serve = ["-p", "tcp:0:interface=127.0.0.1", "-f", folder]
    with running(
        ["env", *settings, SCRIPTS / "twistd", "-n", "--pidfile=", "chatfile", *serve, *options], log
    ) as process:
        _wait(process, log, lambda: "starting on" in log.read_text() and "Serving" in log.read_text())
        found = re.search(r"starting on (\d+)", log.read_text())
        assert found is not None
        yield Peer(process.pid, int(found.group(1)))


@contextmanager
def echo(scratch: Path) -> Iterator[Peer]:
    """A bare Twisted LineReceiver that answers as chatfile does."""
    port = _free_port()
    with _listening(port, scratch / "echo.log", sys.executable, Path(__file__).parent / "echo.py", port) as peer:
        yield peer


@contextmanager
def redis(scratch: Path) -> Iterator[Peer]:
    """redis-server that keeps nothing."""
    port = _free_port()
    options = ["--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", scratch]
    with _listening(port, scratch / "redis.log", program("redis-server"), *options) as peer:
        yield peer


_NGINX = """\
daemon off; master_process on; worker_processes 1; {user}
pid {scratch}/nginx.pid; error_log {scratch}/nginx.log;
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; {settings} keepalive_requests 1000000;
    client_body_temp_path {scratch}/body; proxy_temp_path {scratch}/proxy; fastcgi_temp_path {scratch}/fastcgi;
    uwsgi_temp_path {scratch}/uwsgi; scgi_temp_path {scratch}/scgi;
    server {{ listen 127.0.0.1:{port}{tls}; root {folder}; autoindex on; }}
}}
"""


@contextmanager
def nginx(
    scratch: Path, folder: Path, settings: str = "tcp_nopush on;", certificate: Path | None = None
) -> Iterator[Peer]:
    """nginx with sendfile, or TLS by a `certificate` that has its key with it; the pid is that of its one worker."""
    port, log, configuration = _free_port(), scratch / "nginx.log", scratch / "nginx.conf"
    user = "user root;" if IS_ROOT else ""
    tls = f" ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate}" if certificate else ""
    places = {"scratch": scratch, "port": port, "folder": folder}
    configuration.write_text(_NGINX.format(user=user, settings=settings, tls=tls, **places))
    with running([program("nginx"), "-e", log, "-p", scratch, "-c", configuration], log) as master:
        _wait(master, log, lambda: bool(_children(master.pid)) and _answers(port))
        yield Peer(_children(master.pid)[0], port)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


MODULE = "files"
"""What the folder of `rsync` is called."""
_RSYNC = """\
address = 127.0.0.1
port = {port}
use chroot = no
log file = /dev/null
{user}
[{module}]
path = {folder}
read only = yes
"""


@contextmanager
def rsync(scratch: Path, folder: Path) -> Iterator[Peer]:
    """rsync as a daemon."""
    port, configuration = _free_port(), scratch / "rsyncd.conf"
    user = "uid = root\ngid = root" if IS_ROOT else ""
    configuration.write_text(_RSYNC.format(port=port, user=user, module=MODULE, folder=folder))
    command = [program("rsync"), "--daemon", "--no-detach", f"--config={configuration}"]
    with _listening(port, scratch / "rsync.log", *command) as peer:
        yield peer


_VSFTPD = """\
listen=YES
listen_ipv6=NO
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable=YES
no_anon_password=YES
local_enable=NO
anon_root={folder}
secure_chroot_dir={empty}
run_as_launching_user={unprivileged}
xferlog_enable=NO
"""


@contextmanager
def vsftpd(scratch: Path, folder: Path) -> Iterator[Peer]:
    """vsftpd for anonymous users."""
    port, configuration, empty = _free_port(), scratch / "vsftpd.conf", scratch / "empty"
    empty.mkdir(exist_ok=True)
    unprivileged = "NO" if IS_ROOT else "YES"
    configuration.write_text(_VSFTPD.format(port=port, folder=folder, empty=empty, unprivileged=unprivileged))
    with _listening(port, scratch / "vsftpd.log", program("vsftpd"), configuration) as peer:
        yield peer


@contextmanager
def pyftpdlib(scratch: Path, folder: Path) -> Iterator[Peer]:
    """pyftpdlib as `python -m pyftpdlib` starts it, for anonymous users."""
    if subprocess.run([sys.executable, "-c", "import pyftpdlib"], capture_output=True, check=False).returncode != 0:
        raise Absent("pyftpdlib is not installed")
    port = _free_port()
    command = [sys.executable, "-m", "pyftpdlib", "-i", "127.0.0.1", "-p", port, "-d", folder]
    with _listening(port, scratch / "pyftpdlib.log", *command) as peer:
        yield peer


_SSHD = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {scratch}/host_key
AuthorizedKeysFile {scratch}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


@contextmanager
def sshd(scratch: Path) -> Iterator[Peer]:
    """sshd with keys of its own; `scp_command` knows them."""
    port, configuration, daemon = _free_port(), scratch / "sshd.conf", program("sshd")
    for key in ("host_key", "user_key"):
        if not (scratch / key).exists():
            generate = [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(scratch / key)]
            subprocess.run(generate, check=True)
    if IS_ROOT:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd as root separates its privileges
    configuration.write_text(_SSHD.format(port=port, scratch=scratch))
    with _listening(port, scratch / "sshd.log", daemon, "-D", "-e", "-f", configuration) as peer:
        yield peer


def scp_command(scratch: Path, port: int, source: Path, target: Path) -> list[str]:
    """scp from `sshd`, with the default cipher."""
    options = ["IdentitiesOnly=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
    quoted = [part for option in options for part in ("-o", option)]
    start = [program("scp"), "-q", "-F", "none", "-P", str(port), "-i", str(scratch / "user_key"), *quoted]
    return [*start, f"{getpass.getuser()}@127.0.0.1:{source}", str(target)]
