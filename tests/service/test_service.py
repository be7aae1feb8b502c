"""The twistd plugin: its options, its start, and its end. For trial as well as pytest."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import tempfile
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.plugin import getPlugins
from twisted.python.failure import Failure
from twisted.python.usage import UsageError
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from chatfile import service
from chatfile.options import Options, endpoint_description
from chatfile.service import CannotStart, makeService
from chatfile.signals import IGNORED_SIGNALS


def parsed(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(list(arguments))
    return options


def work_in_a_new_folder(test: SynchronousTestCase) -> None:
    folder = tempfile.TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    test.addCleanup(os.chdir, Path.cwd())
    os.chdir(folder.name)


class OptionsTests(SynchronousTestCase):
    """What can be typed behind `twistd chatfile`."""

    def setUp(self) -> None:
        """A working directory of its own."""
        work_in_a_new_folder(self)

    def refused(self, *arguments: str) -> str:
        with self.assertRaises(UsageError) as raised:
            parsed(*arguments)
        message = str(raised.exception)
        self.assertNotIn("\n", message)
        return message

    def test_defaults(self) -> None:
        options = parsed()
        self.assertEqual(options["endpoints"], ["tcp:5000:interface=127.0.0.1"])
        self.assertEqual(options["folder"], os.path.realpath("server_files"))
        self.assertTrue(Path("server_files").is_dir())
        names = ("max-clients", "max-per-address", "waiting", "history", "no-digest")
        self.assertEqual([options[name] for name in names], [3, 0, 0, 1000, 0])
        timeouts = ("idle", "line", "stall", "flush", "drain")
        self.assertEqual([options[f"{name}-timeout"] for name in timeouts], [300, 60, 60, 5, 30])

    def test_ports_can_be_repeated(self) -> None:
        options = parsed("-p", "0", "--port", "unix:socket", "--port=6000")
        self.assertEqual(
            options["endpoints"], ["tcp:0:interface=127.0.0.1", "unix:socket", "tcp:6000:interface=127.0.0.1"]
        )

    def test_bad_ports(self) -> None:
        for port in ("65536", "-1", "nonsense", "", "tcp:x", "nonsense:5000", "\uff15000"):
            self.assertIn("--port", self.refused("-p", port))

    def test_bad_folders(self) -> None:
        Path("file").touch()
        for folder in ("missing", "file", ""):
            self.assertIn("--files", self.refused("-f", folder))

    def test_a_folder_can_be_a_link(self) -> None:
        Path("real").mkdir()
        Path("link").symlink_to("real")
        self.assertEqual(parsed("-f", "link")["folder"], os.path.realpath("real"))

    def test_bad_numbers(self) -> None:
        for option in ("--max-clients=0", "--max-clients=-1", "--max-clients=x", "--max-clients=1.5",
                       "--history=-1", "--max-per-address=x", "--waiting=-1", "--idle-timeout=-1",
                       "--drain-timeout=nan",
                       "--stall-timeout=inf", "--line-timeout=soon",
                       "--rate=1KB", "--rate=-1", "--rate-per-client=0.1", "--rate-per-client=",
                       "--max-clients=1_0", "--max-clients=\uff11", "--idle-timeout=1_0"):  # fmt: skip
            self.assertIn(option.partition("=")[0], self.refused(option))

    def test_rates_are_in_powers_of_ten(self) -> None:
        options = parsed("--rate=1.5M", "--rate-per-client=500k")
        self.assertEqual((options["rate"], options["rate-per-client"]), (1_500_000, 500_000))
        self.assertEqual((parsed()["rate"], parsed("--rate=0")["rate"], parsed()["rate-per-client"]), (0, 0, 0))

    def test_seconds_may_have_a_fraction(self) -> None:
        self.assertEqual(parsed("--idle-timeout", "0.25")["idle-timeout"], 0.25)

    def test_more_clients_than_descriptors(self) -> None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.assertIn("ulimit", self.refused(f"--max-clients={limit - 31}"))
        self.assertEqual(parsed(f"--max-clients={limit - 32}")["max-unseated"], 8)

    def test_those_without_a_seat_leave_descriptors_for_the_others(self) -> None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.assertEqual(parsed(f"--max-clients={limit - 32 - 40}")["max-unseated"], 20)
        self.assertEqual(parsed("--max-clients=3")["max-unseated"], 64)

    def test_those_that_wait_have_descriptors_of_their_own(self) -> None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.assertEqual(parsed("--max-clients=3", f"--waiting={limit - 3 - 32 - 40}")["max-unseated"], 20)
        self.assertIn("or --waiting", self.refused("--max-clients=3", f"--waiting={limit - 34}"))

    def test_an_argument_too_many(self) -> None:
        self.refused("more")

    def test_a_port_number_stands_for_loopback(self) -> None:
        self.assertEqual(endpoint_description("007"), "tcp:7:interface=127.0.0.1")

    def test_twistd_finds_the_plugin(self) -> None:
        (plugin,) = [each for each in getPlugins(IServiceMaker) if each.tapname == "chatfile"]
        self.assertIs(plugin.options, service.Options)
        self.assertIs(plugin.makeService, service.makeService)


class Listener(Protocol):
    """Collects what the server says."""

    def __init__(self) -> None:
        self.said = b""
        self.gone: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.said += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(self.said)


class ServiceTests(TestCase):
    """The service on a real reactor."""

    def setUp(self) -> None:
        """A working directory of its own, and afterwards the signal handlers as they were."""
        work_in_a_new_folder(self)
        for number in (signal.SIGINT, signal.SIGTERM, *IGNORED_SIGNALS):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())

    def started(self, *arguments: str) -> service.ChatFileService:
        made = makeService(parsed(*arguments))
        made.privilegedStartService()
        made.startService()
        return made

    async def listening_to(self, endpoint: str) -> Listener:
        from twisted.internet import reactor

        listener = Listener()
        await clientFromString(reactor, endpoint).connect(Factory.forProtocol(lambda: listener))
        return listener

    async def test_one_limit_for_all_ports_and_a_word_to_everyone_at_the_end(self) -> None:
        made = self.started("-p", "unix:one", "-p", "unix:two", "-n", "2")
        try:
            listeners = [await self.listening_to(f"unix:{name}") for name in ("one", "two", "one")]
            refused = await listeners[2].gone
        finally:
            await made.stopService()
        said = await gatherResults([listener.gone for listener in listeners[:2]])
        self.assertTrue(refused.startswith(b"ERROR full "))
        for number, lines in enumerate(said, 1):
            self.assertTrue(lines.startswith(b"WELCOME Client%02d chatfile/1\nERROR shutdown " % number))

    async def test_a_thread_that_computes_gives_the_interpreter_to_the_reactor_soon(self) -> None:
        sys.setswitchinterval(0.005)  # Python's own
        made = self.started("-p", "unix:one")
        try:
            self.assertLessEqual(sys.getswitchinterval(), 0.001)
        finally:
            await made.stopService()

    async def test_systemd_hears_of_the_start_and_the_end_and_of_nothing_behind_it(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind("manager")
            manager.settimeout(0)
            os.environ["NOTIFY_SOCKET"] = os.path.realpath("manager")
            made = self.started("-p", "unix:one")
            self.assertIn(b"READY=1", manager.recv(4096))
            await made.stopService()  # trial sees whether anything goes on
            self.assertIn(b"STOPPING=1", manager.recv(4096))
            self.assertRaises(BlockingIOError, manager.recv, 4096)

    async def test_what_looks_after_a_certificate_ends_with_the_service(self) -> None:
        """Trial fails it if a delayed call is left."""
        if find_spec("OpenSSL") is None:
            raise SkipTest("TLS needs chatfile[tls]")
        from tests.support.certificates import Authority

        certificate = Authority(Path.cwd(), "ca").issue("server")
        made = self.started("-p", "unix:one", f"--certificate={certificate}")
        await made.stopService()

    def test_a_socket_in_no_folder_is_one_line_and_an_exit(self) -> None:
        with self.assertRaises(CannotStart) as raised:
            self.started("-p", "unix:nowhere/socket")
        self.assertIn("nowhere", str(raised.exception))

    def test_a_taken_port_is_one_line_and_an_exit(self) -> None:
        made = self.started("-p", "tcp:0:interface=127.0.0.1")
        (listening,) = made.services
        port = listening._waitingForPort.result.getHost().port
        with self.assertRaises(CannotStart) as raised:
            self.started("-p", str(port))
        self.assertIn(str(port), str(raised.exception))
        self.assertIn("--port", str(raised.exception))
        return made.stopService()

    async def test_so_is_a_taken_port_of_the_metrics(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            port = str(taken.getsockname()[1])
            made = makeService(parsed("-p", "unix:one", "--metrics", port))
            with self.assertRaises(CannotStart) as raised:
                made.privilegedStartService()
        self.assertIn(port, str(raised.exception))
        self.assertIn("--metrics", str(raised.exception))
        await made.stopService()
