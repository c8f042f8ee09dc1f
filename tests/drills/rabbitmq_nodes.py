"""RabbitMQ nodes that run inside a Debian tree on loopback ports of their own, with the configuration of deploy/."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from app.embedded.processes import free_port
from tests.publisher import BrokerGone, Publisher

_DEPLOY = Path(__file__).parents[2] / "deploy" / "rabbitmq"
_HOME = "/var/lib/rabbitmq/drill"
_START_LIMIT_S = 120.0


class DrillError(Exception):
    """A node does not do what it is told; the message holds what it said."""


class Node:
    """One broker `drill<number>@localhost`; its MQTT port stays the same over restarts."""

    def __init__(self, tree: Path, number: int, epmd_port: int, names: Sequence[str]) -> None:
        self.name = f"drill{number}@localhost"
        self.mqtt_port = free_port()
        self._amqp_port, self._dist_port = free_port(), free_port()
        self._tree = tree
        self._epmd_port = epmd_port
        self._folder = f"{_HOME}/{number}"
        self._process: subprocess.Popen[bytes] | None = None
        self._write_configuration(names)

    def start(self) -> float:
        """Start the node and wait until it takes MQTT connections; returns how long that took, seconds."""
        began_s = time.monotonic()
        self.launch()
        self.await_answer()
        return time.monotonic() - began_s

    def launch(self) -> None:
        """Start the node; the nodes of a new cluster wait for one another."""
        log = self._inside(f"{self._folder}/console.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                self._command("rabbitmq-server"),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def await_answer(self) -> None:
        """Wait until the node takes MQTT connections; raises DrillError with the end of its log."""
        end_s = time.monotonic() + _START_LIMIT_S
        while not self._answers():
            if self._process is None or self._process.poll() is not None or time.monotonic() > end_s:
                told = self._inside(f"{self._folder}/console.log").read_text()[-3000:]
                raise DrillError(f"{self.name} did not start\n{told}")
            time.sleep(0.1)

    def kill(self) -> None:
        """kill -9 of the node with everything it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def control(self, *words: str) -> str:
        """Run rabbitmqctl and return what it printed; raises DrillError."""
        done = subprocess.run(
            self._command("rabbitmqctl", "--quiet", "-n", self.name, *words),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DrillError(f"rabbitmqctl {' '.join(words)}: {done.stderr or done.stdout}")
        return done.stdout.strip()

    def end_port_mapper(self) -> None:
        """End the Erlang port mapper of this drill; it stays while it has not noticed that its nodes are gone."""
        command = self._command("epmd", "-kill", program_folder="/usr/bin")
        for _ in range(20):
            done = subprocess.run(command, env=self._environment(), check=False, capture_output=True, text=True)
            if "not allowed" not in done.stdout + done.stderr:
                return
            time.sleep(0.25)

    def _answers(self) -> bool:
        try:
            Publisher("127.0.0.1", self.mqtt_port, ("nobody", "wrong")).close()
        except BrokerGone:
            return True  # it refused: it speaks MQTT
        except OSError:
            return False
        return True

    def _command(self, program: str, *words: str, program_folder: str = "/usr/lib/rabbitmq/bin") -> list[str]:
        """The program inside the tree, with a /proc that is gone when the program is."""
        enter = 'mount -t proc proc "$0/proc" && exec chroot --userspec=rabbitmq:rabbitmq "$0" "$@"'
        return ["unshare", "--mount", "sh", "-c", enter, str(self._tree), f"{program_folder}/{program}", *words]

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": _HOME,
            "LANG": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_PORT": str(self._amqp_port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
            "RABBITMQ_CONFIG_FILES": f"{self._folder}/conf.d",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{self._folder}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{self._folder}/data",
            "RABBITMQ_LOG_BASE": f"{self._folder}/log",
            "RABBITMQ_PID_FILE": f"{self._folder}/pid",
        }

    def _write_configuration(self, names: Sequence[str]) -> None:
        folder = self._inside(self._folder)
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "conf.d").mkdir(parents=True)
        shutil.copy(_DEPLOY / "conf.d" / "10-gaswarden.conf", folder / "conf.d")
        lines = [f"mqtt.listeners.tcp.default = 127.0.0.1:{self.mqtt_port}", "disk_free_limit.absolute = 1GB"]
        if len(names) > 1:
            lines.append("cluster_formation.peer_discovery_backend = classic_config")
            lines += [f"cluster_formation.classic_config.nodes.{n} = {name}" for n, name in enumerate(names, 1)]
        (folder / "conf.d" / "90-drill.conf").write_text("\n".join(lines) + "\n")
        (folder / "enabled_plugins").write_text("[rabbitmq_mqtt].\n")
        hosts = self._tree / "etc" / "hosts"
        hosts.write_text("127.0.0.1 localhost\n")
        cookie = self._inside(f"{_HOME}/.erlang.cookie")
        if not cookie.exists():
            cookie.write_text(os.urandom(24).hex())
            cookie.chmod(0o400)
        self._give_away(self._inside(_HOME))

    def _inside(self, path: str) -> Path:
        return self._tree / path.lstrip("/")

    def _give_away(self, top: Path) -> None:
        """Everything below belongs to the tree's own rabbitmq account."""
        entry = next(
            line for line in (self._tree / "etc" / "passwd").read_text().splitlines() if line.startswith("rabbitmq:")
        )
        uid, gid = (int(number) for number in entry.split(":")[2:4])
        for path in (top, *top.rglob("*")):
            os.chown(path, uid, gid)


def node_names(count: int) -> list[str]:
    """The names of the nodes of one drill."""
    return [f"drill{number}@localhost" for number in range(1, count + 1)]


def am_root() -> bool:
    """Whether chroot will be allowed."""
    return pwd.getpwuid(os.geteuid()).pw_uid == 0
