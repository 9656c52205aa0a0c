"""The running containers, inspected in /proc: none has a permission that it does not need."""

import pytest

from tests.support.compose_stack import SERVICES, Stack, run
from tests.support.service import wait_for

USERS = {"edge": (33, 33), "messaging_api": (431, 433), "redis": (432, 432)}
PLAIN = ("docker", "run", "--rm", "--user", "0", "--entrypoint", "cat")


def root_options(mounts: str) -> list[str]:
    """Return the options of the root filesystem in /proc/<pid>/mounts."""
    (root,) = (line.split() for line in mounts.splitlines() if line.split()[1] == "/")
    return root[3].split(",")


@pytest.mark.parametrize("service", SERVICES)
def test_containers_run_unprivileged(stack: Stack, service: str) -> None:
    """Each has its own user, no capabilities to have or to gain, a seccomp filter, and no new privileges."""
    lines = stack.exec(service, "cat", "/proc/1/status").splitlines()
    told = {name: value.split() for name, value in (line.split(":", 1) for line in lines)}
    user, group = USERS[service]
    assert (told["Uid"], told["Gid"]) == ([str(user)] * 4, [str(group)] * 4)
    assert [told[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")] == [["0" * 16]] * 5
    assert (told["Seccomp"], told["NoNewPrivs"]) == (["2"], ["1"])


@pytest.mark.parametrize("service", SERVICES)
def test_root_filesystem_is_read_only(stack: Stack, service: str) -> None:
    """The root filesystem is mounted read-only."""
    assert "ro" in root_options(stack.exec(service, "cat", "/proc/1/mounts"))


def test_default_container_is_privileged(stack: Stack) -> None:
    """Control: without these measures there are capabilities, new privileges and a writable filesystem."""
    status = run(*PLAIN, stack.image("redis"), "/proc/1/status")
    assert "CapEff:\t0000000000000000" not in status
    assert "NoNewPrivs:\t0" in status
    assert "rw" in root_options(run(*PLAIN, stack.image("redis"), "/proc/1/mounts"))


@pytest.mark.parametrize("service", SERVICES)
def test_memory_and_processes_are_limited(stack: Stack, service: str) -> None:
    """Memory and processes are limited, and a crash is followed by a restart."""
    host = stack.inspect(service)["HostConfig"]
    assert 0 < host["Memory"] <= 2**30
    assert 0 < host["PidsLimit"] <= 128
    assert host["RestartPolicy"]["Name"] == "unless-stopped"


def test_orphan_process_is_reaped(stack: Stack) -> None:
    """An orphaned process is inherited and reaped by the service, the first process of its container."""
    orphan = (
        "import os, time; child = os.fork(); print(child) if child else (os.close(1), os.close(2), time.sleep(0.5))"
    )
    child = stack.exec("messaging_api", "python", "-c", orphan).strip()
    look = f"import os; print(os.path.exists('/proc/{child}'))"
    wait_for(lambda: stack.exec("messaging_api", "python", "-c", look).strip() == "False")
    assert stack.inspect("messaging_api")["RestartCount"] == 0
