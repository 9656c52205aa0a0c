"""The production layout as users start it: a fresh checkout, scripts/first-start, docker compose up."""

import contextlib
import json
import os
import random
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.redis_server import free_port

ROOT = Path(__file__).parents[2]
SERVICES = ("edge", "messaging_api", "redis")


def run(*command: str, folder: Path | None = None, environ: dict[str, str] | None = None) -> str:
    """Run a command and return its output; raise with the output if it fails."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **(environ or {})}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def console(container: str) -> str:
    """What a container wrote to its console, either stream."""
    told = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=True)
    return told.stdout + told.stderr


def fresh_checkout(folder: Path) -> Path:
    """The files that git knows or would take, and nothing else."""
    for name in run("git", "ls-files", "--cached", "--others", "--exclude-standard", folder=ROOT).splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@dataclass(frozen=True)
class Stack:
    """A compose project of its own, on free ports."""

    folder: Path
    project: str
    https_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    subnet: str = field(default_factory=lambda: f"10.203.{random.randint(1, 254)}.0/24")

    @property
    def url(self) -> str:
        """Where the edge serves."""
        return f"https://localhost:{self.https_port}"

    @property
    def certificate(self) -> Path:
        """What makes the edge trusted."""
        return self.folder / "secrets/tls/fullchain.pem"

    @property
    def password(self) -> str:
        """What the service logs in to Redis with."""
        return (self.folder / "secrets/redis_password").read_text().strip()

    def trust(self) -> ssl.SSLContext:
        """TLS that believes this edge and nobody else."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def client(self) -> httpx.Client:
        """A client of the edge."""
        return httpx.Client(base_url=self.url, verify=self.trust(), timeout=30)

    def compose(self, *arguments: str, **environ: str) -> str:
        """`docker compose …` on this project."""
        own = {
            "HTTPS_PORT": str(self.https_port),
            "HTTP_PORT": str(self.http_port),
            "FRONTEND_SUBNET": self.subnet,
            "MESSAGING_API_PUBLIC_URL": self.url,
        }
        command = ("docker", "compose", "--project-name", self.project, *arguments)
        return run(*command, folder=self.folder, environ={**own, **environ})

    def up(self, *arguments: str, **environ: str) -> None:
        """Start, and wait until all are healthy."""
        self.compose("up", "--detach", "--wait", *arguments, **environ)

    def down(self, *arguments: str) -> None:
        """Stop and remove the containers; volumes stay unless told otherwise."""
        self.compose("down", *arguments)

    def container(self, service: str) -> str:
        """The id of a service's container."""
        return self.compose("ps", "--quiet", service).split()[0]

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of a service's container."""
        told: list[dict[str, Any]] = json.loads(run("docker", "inspect", self.container(service)))
        return told[0]

    def address(self, service: str, network: str) -> str:
        """The address of a service in one of the two networks."""
        address: str = self.inspect(service)["NetworkSettings"]["Networks"][f"{self.project}_{network}"]["IPAddress"]
        return address

    def exec(self, service: str, *command: str) -> str:
        """What a command in a running container wrote."""
        return self.compose("exec", "-T", service, *command)

    def image(self, service: str) -> str:
        """The image of a service."""
        return f"{self.project}-{service}"

    def python(self, network: str, program: str, *arguments: str) -> str:
        """What a Python program wrote that ran in a throw-away container in this network."""
        image = self.image("messaging_api")
        return run(
            "docker", "run", "--rm", "--network", network, "--entrypoint", "python", image, "-c", program, *arguments
        )

    def console(self, service: str) -> str:
        """Return what the containers of a service wrote to their consoles."""
        return "".join(map(console, self.compose("ps", "--quiet", service).split()))

    def kill(self, service: str) -> None:
        """kill -9 of a container's first process, from outside, so that the engine takes it for a crash."""
        pid = self.inspect(service)["State"]["Pid"]
        powers = ("--pid=host", "--privileged", "--user", "0", "--network", "none", "--entrypoint", "bash")
        run("docker", "run", "--rm", *powers, self.image("edge"), "-c", f"kill -9 {pid}")


@contextlib.contextmanager
def running(folder: Path, project: str) -> Iterator[Stack]:
    """The production layout, built and started from a fresh checkout in `folder`; nothing of it is left."""
    stack = Stack(fresh_checkout(folder), project)
    run("scripts/first-start", folder=stack.folder)
    try:
        stack.up("--build")
        yield stack
    finally:
        stack.down("--volumes", "--rmi", "local", "--remove-orphans", "--timeout", "5")


@contextlib.contextmanager
def without_limits(stack: Stack) -> Iterator[None]:
    """The stack with limits that one client does not reach, at the edge and in the service."""
    shipped = (stack.folder / "deploy/edge/limits.conf").read_text()
    raised = shipped.replace("rate=100r/s", "rate=100000r/s").replace("connections 100;", "connections 2000;")
    (stack.folder / "raised.conf").write_text(raised)
    settings = stack.folder / ".env"
    settings.write_text("".join(f"MESSAGING_API_LIMIT_{kind}=0\n" for kind in ("CREATE", "READ", "MISS")))
    stack.up(EDGE_LIMITS="./raised.conf")
    yield
    settings.unlink()
    stack.up()
