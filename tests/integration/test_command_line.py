"""The commands that send and read messages, run against a real server."""

import json
import os
import re
import signal
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from messaging_api.cli.exit_codes import EXIT_CODES, ExitCode
from messaging_api.cli.options import connect
from messaging_api.cli.terminal import Spinner
from messaging_api.client import ClientError
from messaging_api.client.protocol import HttpResponse
from messaging_api.server.certificates import issue, make_authority
from messaging_api.settings.client import ClientSettings
from tests.support.faulty_proxy import answer, proxied
from tests.support.programs import require
from tests.support.redis_server import free_port
from tests.support.service import COMMAND, Running, serving
from tests.support.terminals import CTRL_C, at_terminal, home
from tests.unit.test_app import leaves

UNLIMITED = ("--workers", "1", "--limit-create", "0", "--limit-miss", "0")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start one server for this module."""
    folder = tmp_path_factory.mktemp("command")
    with serving(folder, f"sqlite://{folder}/messages.db", *UNLIMITED) as running:
        yield running


class Done(NamedTuple):
    """The result of a command without a terminal."""

    code: int
    out: bytes
    err: str


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Return an environment with its own home folder."""
    (tmp_path / "home").mkdir()
    return home(tmp_path / "home")


def run(
    env: dict[str, str],
    *arguments: str,
    stdin: bytes = b"",
    stdout: Any = subprocess.PIPE,
    wrapper: tuple[str, ...] = (),
    cwd: Path | None = None,
) -> Done:
    """Run the command without any terminal; `wrapper` is a program that runs it."""
    ran = subprocess.run(
        [*wrapper, COMMAND, *arguments],
        cwd=cwd,
        input=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=env,
        start_new_session=True,
        timeout=60,
        check=False,
    )
    return Done(ran.returncode, ran.stdout, ran.stderr.decode())


def send(env: dict[str, str], service: Running, text: str, *options: str) -> dict[str, Any]:
    """Send a message and return the output of --json."""
    done = run(env, "send", "--to", service.url, "--json", *options, stdin=text.encode())
    assert done.code == 0, done.err
    sent: dict[str, Any] = json.loads(done.out)
    return sent


def state(env: dict[str, str], receipt: str) -> str:
    """Return the state of a message."""
    return run(env, "receipt", receipt).out.decode().strip()


def recovery_files(env: dict[str, str]) -> list[Path]:
    """Return the recovery files."""
    return list(Path(env["HOME"], ".local/state/messaging_api").glob("*.envelope"))


@pytest.mark.parametrize(
    "text", [b"hello", b"a\r\nb\r\n", b"\xef\xbb\xbfx", b"\x00\x1b[31m", b"\n", "é 你好 👩‍🚀".encode()]
)
def test_pipes(env: dict[str, str], service: Running, text: bytes) -> None:
    """A message is sent and read through pipes, byte for byte. `send` prints its link and nothing else."""
    done = run(env, "send", "--to", service.url, stdin=text)
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(rf"{service.url}/msg/[0-9a-f-]{{36}}#[A-Za-z0-9_-]{{43}}\n".encode(), done.out)
    assert run(env, "read", stdin=done.out) == (0, text, "")
    assert run(env, "read", done.out.decode().strip()) == (0, text, "")


def test_file_and_options(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """`send` takes a file, a lifetime and a number of reads. -v prints details on standard error."""
    (tmp_path / "note.txt").write_text("a note")
    done = run(env, "send", str(tmp_path / "note.txt"), "--to", service.url, "--ttl", "2h", "--reads", "2", "-v")
    assert done.out.count(b"\n") == 1
    assert re.search(r"Expires  \d{4}.*UTC\nReads    2\nReceipt  http://\S+/receipt/\S+\n", done.err)
    result = json.loads(run(env, "read", "--json", done.out.decode().strip()).out)
    assert (result["message"], result["reads_left"]) == ("a note", 1)


@pytest.mark.parametrize(("life", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1h", 3600), ("7d", 604_800)])
def test_lifetimes(env: dict[str, str], service: Running, life: str, seconds: int) -> None:
    """A lifetime is in seconds, minutes, hours or days."""
    expires = datetime.fromisoformat(send(env, service, "x", "--ttl", life)["expires_at"])
    assert abs((expires - datetime.now(UTC)).total_seconds() - seconds) < 30


def test_plain_message(env: dict[str, str], service: Running) -> None:
    """The link of an unencrypted message has no key, and curl can read it."""
    sent = send(env, service, "hello", "--plain")
    assert not sent["encrypted"]
    assert "#" not in sent["link"]
    assert subprocess.check_output(["curl", "-s", "-H", "Accept: text/plain", sent["link"]]) == b"hello"


def test_receipt_and_burn(env: dict[str, str], service: Running) -> None:
    """A receipt shows the state of a message, and burns it."""
    sent = send(env, service, "hello", "--reads", "2")
    run(env, "read", sent["link"])
    receipt = json.loads(run(env, "receipt", "--json", sent["receipt"]).out)
    assert (receipt["state"], receipt["reads"], receipt["reads_left"]) == ("available", 2, 1)
    assert "Reads    1 of 2 left" in run(env, "receipt", "-v", sent["receipt"]).err
    assert run(env, "burn", stdin=sent["receipt"].encode()) == (0, b"burned\n", "")
    assert run(env, "read", sent["link"]).code == 3
    assert run(env, "burn", sent["receipt"]).out == b"burned\n"
    wrong = run(env, "burn", sent["link"])
    assert wrong.code == 2
    assert "link of a message" in wrong.err


def password_file(tmp_path: Path, name: str, password: str) -> str:
    """Write a file with a password."""
    (tmp_path / name).write_text(password)
    return str(tmp_path / name)


def test_password_files(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """One line ending at the end is ignored, and nothing else."""
    sent = send(env, service, "hello", "--password-file", password_file(tmp_path, "a", " påss \n"))
    assert sent["link"].endswith(".p")
    for content in (" påss ", " påss \n", " påss \r\n", " pa\u030ass "):
        given = password_file(tmp_path, "b", content)
        assert run(env, "read", sent["link"], "--password-file", given).out == b"hello"
    assert run(env, "read", sent["link"], "--password-file", password_file(tmp_path, "b", "påss")).code == 4
    assert run(env, "send", "--password-file", password_file(tmp_path, "c", "\n"), stdin=b"x").code == 2
    assert recovery_files(env) == []


def test_new_password_is_prompted_twice(env: dict[str, str], service: Running) -> None:
    """The prompt is at the terminal, even with a message from a pipe, and never shows the password."""
    ran = at_terminal(
        ["send", "--to", service.url, "--password"],
        [("Password: ", "right"), ("again: ", "wrong"), ("Password: ", "right"), ("again: ", "right")],
        stdin=b"hello",
        env=env,
    )
    assert ran.code == 0
    assert ran.out.endswith(b".p\n")
    assert "right" not in ran.screen
    read = at_terminal(["read", "-"], [("Password: ", "right")], stdin=ran.out, env=env)
    assert (read.code, read.out) == (0, b"hello")


def test_wrong_password_is_prompted_again(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """A message with one read opens at the third attempt."""
    sent = send(env, service, "hello", "--reads", "1", "--password-file", password_file(tmp_path, "a", "right"))
    tries = [("Password: ", "wrong"), ("Password: ", "worse"), ("Password: ", "right")]
    ran = at_terminal(["read", sent["link"]], tries, env=env)
    assert (ran.code, ran.out) == (0, b"hello")
    assert ran.screen.count("The password is wrong") == 2
    assert "Reads left: 0" in ran.screen
    assert recovery_files(env) == []


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([("Password: ", "wrong")] * 3, 4),
        ([("Password: ", "wrong"), ("Password: ", CTRL_C)], 130),
        ([("Password: ", "wrong"), ("Password: ", signal.SIGHUP)], 129),
        ([("Password: ", "wrong"), ("Password: ", signal.SIGTERM)], 143),
    ],
)
def test_undecrypted_message_is_saved(
    env: dict[str, str], service: Running, tmp_path: Path, answers: Any, code: int
) -> None:
    """After three wrong passwords, Ctrl-C or a signal, a private file contains the envelope, which opens later."""
    right = password_file(tmp_path, "a", "right")
    sent = send(env, service, "hello", "--reads", "1", "--password-file", right)
    ran = at_terminal(["read", sent["link"]], answers, env=env)
    assert (ran.code, ran.out) == (code, b"")
    [file] = recovery_files(env)
    assert str(file) in ran.screen.replace("\r\n", "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().startswith("e2e1.")
    assert run(env, "read", sent["link"], "--envelope", str(file), "--password-file", right).out == b"hello"


def test_no_prompt_without_a_terminal(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """A missing password is an error before a read is spent. After a wrong one the message is saved."""
    sent = send(env, service, "hello", "--reads", "1", "--password-file", password_file(tmp_path, "a", "right"))
    assert run(env, "read", sent["link"]).code == 2
    assert run(env, "send", "--to", service.url, "--password", stdin=b"x").code == 2
    assert state(env, sent["receipt"]) == "available"
    wrong = run(env, "read", sent["link"], "--password-file", password_file(tmp_path, "b", "wrong"))
    assert (wrong.code, wrong.out) == (4, b"")
    assert str(recovery_files(env)[0]) in wrong.err


def test_message_is_saved_if_the_key_is_missing(env: dict[str, str], service: Running) -> None:
    """The saved message opens with the whole link."""
    sent = send(env, service, "hello", "--reads", "1")
    cut = run(env, "read", sent["link"].partition("#")[0])
    assert cut.code == 4
    assert "key is missing" in cut.err
    assert run(env, "read", sent["link"], "--envelope", str(recovery_files(env)[0])).out == b"hello"


def test_password_prompt_if_the_link_lacks_its_suffix(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """Without .p in the link, the prompt follows the fetch."""
    sent = send(env, service, "hello", "--reads", "1", "--password-file", password_file(tmp_path, "a", "right"))
    ran = at_terminal(["read", sent["link"].removesuffix(".p")], [("Password: ", "right")], env=env)
    assert (ran.code, ran.out) == (0, b"hello")


def test_damaged_link_spends_no_read(env: dict[str, str], service: Running) -> None:
    """A damaged link is an error before a request is sent."""
    sent = send(env, service, "hello", "--reads", "1")
    assert run(env, "read", sent["link"][:-1]).code == 2
    assert state(env, sent["receipt"]) == "available"


def test_link_prompt(env: dict[str, str], service: Running) -> None:
    """A link that is typed at the prompt does not appear on the screen."""
    sent = send(env, service, "hello")
    ran = at_terminal(["read"], [("Link: ", sent["link"])], env=env)
    assert (ran.code, ran.out) == (0, b"hello")
    assert sent["link"] not in ran.screen


def test_message_is_saved_if_the_disk_is_full(env: dict[str, str], service: Running) -> None:
    """A full disk behind standard output does not lose the message."""
    sent = send(env, service, "hello", "--reads", "1")
    with Path("/dev/full").open("wb") as full:
        done = run(env, "read", sent["link"], stdout=full)
    assert done.code == 1
    assert "No space left" in done.err
    assert run(env, "read", sent["link"], "--envelope", str(recovery_files(env)[0])).out == b"hello"


def failing(call: str, path: Path) -> tuple[str, ...]:
    """Return the beginning of a command line for a program in which one system call on a file fails as over a quota."""
    where = ("-o", "/dev/null", "-P", str(path), "-e", f"trace={call}")
    return require("strace"), "-f", "--seccomp-bpf", "-qq", *where, "-e", f"inject={call}:error=EDQUOT"


@pytest.mark.parametrize("call", ["write", "fsync", "close"])
def test_message_is_saved_if_its_file_may_be_short(
    env: dict[str, str], service: Running, tmp_path: Path, call: str
) -> None:
    """An error that appears only when the file is flushed or closed, as with a quota on NFS, is not overlooked."""
    sent = send(env, service, "hello", "--reads", "1")
    output = tmp_path / "message.txt"
    done = run(env, "read", sent["link"], "--output", str(output), wrapper=failing(call, output))
    assert (done.code, "quota exceeded" in done.err) == (1, True), done.err
    assert not output.exists()
    assert run(env, "read", sent["link"], "--envelope", str(recovery_files(env)[0])).out == b"hello"


def test_message_is_saved_if_standard_output_may_be_short(
    env: dict[str, str], service: Running, tmp_path: Path
) -> None:
    """The same if standard output is a file. A link that `send` may not have written is an error too."""
    sent = send(env, service, "hello", "--reads", "1")
    for arguments in (["read", sent["link"]], ["send", "--to", service.url]):
        output = tmp_path / arguments[0]
        with output.open("wb") as stdout:
            done = run(env, *arguments, stdin=b"x", stdout=stdout, wrapper=failing("fsync", output))
        assert (done.code, "quota exceeded" in done.err) == (1, True), done.err
    assert run(env, "read", sent["link"], "--envelope", str(recovery_files(env)[0])).out == b"hello"


@pytest.mark.parametrize("call", ["write", "fsync", "close"])
def test_message_is_saved_elsewhere_if_the_recovery_file_may_be_short(
    env: dict[str, str], service: Running, tmp_path: Path, call: str
) -> None:
    """The state folder is over its quota too: no short file is left there, and the current folder gets the message."""
    sent = send(env, service, "hello", "--reads", "1")
    folder = Path(env["HOME"], ".local/state/messaging_api")
    folder.mkdir(parents=True)
    here = tmp_path / "here"
    here.mkdir()
    short = tmp_path / "sitecustomize"
    short.mkdir()
    # strace names files by their paths, so the random part of the name has to be known before.
    (short / "sitecustomize.py").write_text("import tempfile\ntempfile._get_candidate_names = lambda: iter('x' * 9)\n")
    wrapper = failing(call, folder / "message-x.envelope")
    with Path("/dev/full").open("wb") as full:
        fault = {**env, "PYTHONPATH": str(short)}
        done = run(fault, "read", sent["link"], stdout=full, wrapper=wrapper, cwd=here)
    assert done.code == 1
    assert recovery_files(env) == []
    (saved,) = here.iterdir()
    assert f"--envelope {saved}" in done.err
    assert run(env, "read", sent["link"], "--envelope", str(saved)).out == b"hello"


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_closed_streams(env: dict[str, str], service: Running, closed: str) -> None:
    """A closed standard stream is an error before anything is sent or a read is spent."""
    sent = send(env, service, "hello", "--reads", "1")
    for command in (f"read {sent['link']}", f"send --to {service.url}"):
        ran = subprocess.run(["bash", "-c", f"exec {COMMAND} {command} {closed}"], env=env, check=False)
        assert ran.returncode == 2
    assert state(env, sent["receipt"]) == "available"


def test_message_is_printed_if_it_cannot_be_saved(env: dict[str, str], service: Running) -> None:
    """If no file can be written, the envelope is printed."""
    sent = send(env, service, "hello", "--reads", "1")
    Path(env["HOME"], ".local").write_text("no folder")
    command = [COMMAND, "read", sent["link"].partition("#")[0]]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd="/proc")
    assert ran.returncode == 4
    assert "\ne2e1." in ran.stderr


def test_output_file(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """The file is new and private. An existing file stays, and no file remains after a failure."""
    sent, target = send(env, service, "hello", "--reads", "1"), tmp_path / "out"
    target.write_text("mine")
    assert run(env, "read", sent["link"], "-o", str(target)).code == 1
    assert (target.read_text(), state(env, sent["receipt"])) == ("mine", "available")
    target.unlink()
    assert run(env, "read", sent["link"], "-o", str(target)) == (0, b"", "")
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("hello", 0o600)
    target.unlink()
    assert run(env, "read", sent["link"], "-o", str(target)).code == 3
    assert not target.exists()


def test_control_characters_in_messages(env: dict[str, str], service: Running) -> None:
    """A message cannot act on the terminal that shows it."""
    sent = send(env, service, "\x1b]0;title\x07 a\rb \x9b31m \x7f\n\tend")
    ran = at_terminal(["read", sent["link"]], env=env, out=True)
    assert "␛]0;title␇ a␍b �31m ␡\r\n\tend\r\n" in ran.screen


def test_control_characters_in_errors(env: dict[str, str], service: Running) -> None:
    """An error text of a server cannot act on the terminal."""
    said = '{"type": "/docs#invalid", "title": "\\u001b[2Jcleared"}'
    with proxied(service.url, answer("400 Bad Request", said, content_type="application/problem+json")) as proxy:
        assert run(env, "send", "--to", proxy.url, stdin=b"x") == (6, b"", "messaging-api: ␛[2Jcleared.\n")


def test_exit_codes(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """Each situation ends with its exit code."""
    sent = send(env, service, "hello", "--reads", "3")
    (tmp_path / "binary").write_bytes(b"\xff")
    nobody = f"http://127.0.0.1:{free_port()}"
    busy = answer("503 Service Unavailable", retry_after="60")
    with proxied(service.url, "lose", "pass", busy, busy, busy) as proxy:
        codes = {
            "interrupted": run(env, "read", proxy.through(sent["link"])).code,
            "busy": run(env, "send", "--to", proxy.url, stdin=b"x").code,
            "busy, no waiting": run(env, "send", "--to", proxy.url, "--wait", "0", stdin=b"x").code,
            "nobody there": run(env, "send", "--to", nobody, "--wait", "0", stdin=b"x").code,
            "too long": run(env, "send", "--to", service.url, stdin=b"x" * 45_056).code,
            "too long a life": run(env, "send", "--to", service.url, "--ttl", "8d", stdin=b"x").code,
            "far too long": run(env, "send", "/dev/zero", "--to", service.url, "--plain").code,
            "not text": run(env, "send", str(tmp_path / "binary"), "--to", service.url).code,
            "nothing": run(env, "send", "--to", service.url).code,
            "no file": run(env, "send", str(tmp_path / "nowhere"), "--to", service.url).code,
            "no such option": run(env, "send", "--burn-after-reading").code,
            "no life": run(env, "send", "--ttl", "soon", stdin=b"x").code,
            "no server": run(env, "send", stdin=b"x").code,
            "no link": run(env, "read", "hello").code,
            "no text for a link": run(env, "read", stdin=b"\xff").code,
        }
    assert codes == {
        "interrupted": 7,
        "busy": 5,
        "busy, no waiting": 5,
        "nobody there": 5,
        "too long": 6,
        "too long a life": 6,
        "far too long": 6,
        "not text": 2,
        "nothing": 2,
        "no file": 1,
        "no such option": 2,
        "no life": 2,
        "no server": 2,
        "no link": 2,
        "no text for a link": 2,
    }
    assert set(codes.values()) | {0, 3, 4, 130} == set(ExitCode)


@pytest.mark.parametrize("command", ["send", "read", "receipt", "burn"])
def test_help_lists_the_exit_codes(env: dict[str, str], command: str) -> None:
    """The help of each command with exit codes explains every one of them."""
    shown = " ".join(run(env, command, "--help").out.decode().split())
    assert [code for code in ExitCode if f"{code} {code.meaning}" not in shown] == []


def test_python_m_shows_the_name_of_the_command(env: dict[str, str]) -> None:
    """`python -m messaging_api` presents itself as messaging-api, in its help and in its errors."""
    module = [sys.executable, "-m", "messaging_api"]
    shown = subprocess.run([*module, "send", "--help"], env=env, capture_output=True, text=True, check=True).stdout
    assert "Usage: messaging-api send [OPTIONS] [FILE]" in shown
    wrong = subprocess.run([*module, "nothing"], env=env, capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "messaging-api" in wrong.stderr
    assert "__main__" not in shown + wrong.stderr


def test_every_error_has_an_exit_code() -> None:
    """Each error of the client has an exit code."""
    assert all(any(kind in EXIT_CODES for kind in error.__mro__) for error in leaves(ClientError))


def write_config(env: dict[str, str], text: str, mode: int = 0o600) -> None:
    """Write the config file."""
    folder = Path(env["HOME"], ".config/messaging_api")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(text)
    (folder / "config.toml").chmod(mode)


def test_precedence_of_settings(env: dict[str, str], service: Running) -> None:
    """Options win over variables, and variables win over the config file."""
    nobody = f"http://127.0.0.1:{free_port()}"
    write_config(env, f'server = "{service.url}"\nwait = 0\n', mode=0o644)
    assert run(env, "send", stdin=b"x").code == 0
    elsewhere = {**env, "MESSAGING_API_CLIENT_SERVER": nobody}
    assert run(elsewhere, "send", stdin=b"x").code == 5
    assert run(elsewhere, "send", "--to", service.url, stdin=b"x").code == 0


@pytest.mark.parametrize(
    ("text", "mode", "expected"),
    [
        ("server = ", 0o600, "must be TOML"),
        ('sever = "http://x"', 0o600, r"sever in \S+ is not a setting; did you mean server in \S+\?"),
        ('colour = "red"', 0o600, "colour in .* is not a setting; there are server, token, header, ca, wait"),
        ('server = "x"', 0o600, r"server in \S+ must be: \[http"),
        ('server = "x.example"\nheader = "hush"', 0o600, "header in .* must be: Name: value"),
        ('header = ["X-Key: hush"]', 0o640, "contains a header and other users can read it"),
        ('token = "hush"', 0o640, "chmod 600"),
        ('token_file = "/nowhere"', 0o644, "cannot be read"),
        ('ca = "/nowhere"\nserver = "https://x"', 0o644, "No such file"),
    ],
)
def test_invalid_settings(env: dict[str, str], text: str, mode: int, expected: str) -> None:
    """A mistake in the config file is an error before anything is sent."""
    write_config(env, text, mode)
    done = run(env, "send", stdin=b"x")
    assert done.code == 2
    assert re.search(expected, done.err)
    assert "hush" not in done.err
    assert run({**env, "MESSAGING_API_CLIENT_SEVER": "x"}, "send", stdin=b"x").code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "ftp://x"], "--to must be: [http(s)://]host[/path]. This is not a web address"),
        (["--to", "https://u:hush@x.example"], "--to must be: [http(s)://]host[/path]. A web address must not contain"),
        (["--nothing"], "No such option '--nothing'"),
        (["--ttl", "soon"], "Invalid value for '--ttl': a duration is written like 90, 90s, 5m, 1h, 7d or 2w."),
        (["--reads", "abc"], "Invalid value for '--reads': it must be a number from 1 to 1000."),
        (["--wait", "soon"], "--wait must be: seconds."),
        (["--header", "hush"], "--header must be: Name: value, one per line."),
        (["--to", "x.example", "--header", "Host: hush"], "The header host is set by the client itself."),
        (["--token-file", "/nowhere"], "/nowhere cannot be read: No such file or directory."),
        (["one", "two"], "Got unexpected extra argument (two)"),
        ([], "No server is set. Use --to SERVER"),
    ],
)
def test_usage_errors_look_alike(env: dict[str, str], arguments: list[str], said: str) -> None:
    """Each is one line that begins with the name of the command and names the option; the exit code is 2."""
    done = run(env, "send", *arguments, stdin=b"x")
    assert done.code == 2
    assert done.err.startswith(f"messaging-api: {said}")
    assert done.err.count("\n") == 1
    assert "hush" not in done.err


def test_slash_at_the_end_of_an_address_is_no_mistake(env: dict[str, str], service: Running) -> None:
    """curl follows the redirect, and a page keeps its fragment; no read is spent for the redirect itself."""
    sent = send(env, service, "hello", "--plain", "--reads", "1")
    head = subprocess.check_output(["curl", "-sI", "-H", "Accept: text/html", f"{sent['link']}/"], text=True)
    assert re.search(r"^HTTP/1\.1 308 .*\nlocation: \.\./[0-9a-f-]{36}\n", head, re.DOTALL)
    assert state(env, sent["receipt"]) == "available"
    assert subprocess.check_output(["curl", "-sL", "-H", "Accept: text/plain", f"{sent['link']}/"]) == b"hello"


def test_scheme_of_the_server_may_be_missing(env: dict[str, str], service: Running) -> None:
    """A bare host is reached by https, and by http on this machine."""
    done = run(env, "send", "--to", service.url.removeprefix("http://"), stdin=b"hello")
    assert run(env, "read", stdin=done.out).out == b"hello"


def test_link_is_found_in_standard_input(env: dict[str, str], service: Running) -> None:
    """A whole mail can be piped in, with the link broken over lines."""
    link = send(env, service, "hello", "--reads", "1")["link"]
    mail = f"\ufeffHi,\r\n\r\nhere it is:\r\n{link[:70]}=\r\n{link[70:]}.\r\n\r\nAlice\r\n"
    assert run(env, "read", stdin=mail.encode()) == (0, b"hello", "")


@pytest.mark.parametrize("damage", ["{}.", "<{}>", "here it is: {}", "{}?utm_source=mail"])
def test_damaged_links_are_repaired(env: dict[str, str], service: Running, damage: str) -> None:
    """What programs add to a link is dropped, for receipts too."""
    sent = send(env, service, "hello", "--reads", "1")
    assert run(env, "receipt", damage.format(sent["receipt"])).out == b"available\n"
    assert run(env, "read", damage.format(sent["link"]).replace("#", "%23")).out == b"hello"
    assert run(env, "burn", damage.format(sent["receipt"])).out == b"read\n"


@pytest.mark.parametrize(
    ("name", "value", "code", "said"),
    [
        ("NO_PROXY", "::1,fe80::/10,fd07:b51a:cc66:a::/64", 0, ""),
        ("no_proxy", "[::1]", 0, ""),
        ("HTTP_PROXY", "ftp://hush", 2, "HTTP_PROXY is not the address of a proxy"),
        ("http_proxy", "http://[::1", 2, "HTTP_PROXY is not the address of a proxy"),
        ("ALL_PROXY", "socks5://127.0.0.1:1080", 2, "ALL_PROXY is a SOCKS proxy, which requires"),
        ("SSL_CERT_FILE", "/nowhere", 2, "SSL_CERT_FILE cannot be used: No such file or directory."),
        ("SSL_CERT_FILE", "/etc/passwd", 2, "SSL_CERT_FILE cannot be used: no certificates in it."),
        ("SSLKEYLOGFILE", "/nowhere/keys", 2, "SSLKEYLOGFILE /nowhere/keys cannot be used: No such file or directory."),
    ],
)
def test_network_variables(  # noqa: PLR0913, PLR0917 one for each column
    env: dict[str, str], service: Running, name: str, value: str, code: int, said: str
) -> None:
    """A variable that cannot be used is a sentence, never a traceback."""
    done = run({**env, name: value}, "send", "--to", service.url, stdin=b"x")
    assert (done.code, done.err.removeprefix("messaging-api: ")[: len(said)]) == (code, said)
    assert done.err.count("\n") == (1 if code else 0)
    assert "hush" not in done.err


def test_proxy_is_used_unless_it_is_excepted(env: dict[str, str], service: Running) -> None:
    """The service takes requests for other hosts, so it serves as the proxy here."""
    proxy = {**env, "http_proxy": service.url}
    done = run(proxy, "send", "--to", "http://msg.invalid", stdin=b"hello")
    assert done.out.startswith(b"http://msg.invalid/msg/")
    assert run(proxy, "read", stdin=done.out).out == b"hello"
    assert run({**proxy, "NO_PROXY": ".invalid"}, "read", "--wait", "0", stdin=done.out).code == 5


def test_user_without_a_name_or_home(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """As in containers. A message that cannot be opened is saved in the current folder."""
    homeless = {name: value for name, value in env.items() if name != "HOME" and not name.startswith("XDG_")}
    nameless = (require("unshare"), "-U", "--map-user=12345")
    tmp_path.chmod(0o777)
    done = run(homeless, "send", "--to", service.url, "--reads", "1", stdin=b"hello", wrapper=nameless)
    assert (done.code, done.err) == (0, "")
    cut = run(homeless, "read", done.out.decode().partition("#")[0], wrapper=nameless, cwd=tmp_path)
    assert (cut.code, len(list(tmp_path.glob("*.envelope")))) == (4, 1)
    assert run(homeless, "settings", wrapper=nameless).err == (
        "messaging-api: --store must be set: this user has no home folder for a database.\n"
    )
    assert run(homeless, "settings", "--store", "redis://h", wrapper=nameless).code == 0


def test_headers(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """Headers from options are sent to every server, those of the config file only to the server there."""
    (tmp_path / "headers").write_text("X-File: two\n\nAuthorization: Basic aHVzaA==\n")
    with proxied(service.url) as proxy, proxied(service.url) as another:
        write_config(env, f'server = "{proxy.url}/"\nheader = ["X-Config: one"]')
        link = run(env, "send", stdin=b"x").out.decode()
        run(env, "read", proxy.through(link))
        run(env, "read", another.through(link))
        run(env, "read", another.through(link), "--header", "X-Option: three", "--header", "X-More: four")
        run(env, "read", another.through(link), "--header-file", str(tmp_path / "headers"))
        assert [b"x-config: one" in request.lower() for request in proxy.requests] == [True, True]
        plain, option, file = (request.lower() for request in another.requests)
    assert b"\r\nx-" not in plain
    assert b"\r\nx-option: three\r\nx-more: four\r\n" in option
    assert b"\r\nx-file: two\r\nauthorization: basic ahvzaa==\r\n" in file


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (
            answer("404 Not Found", "<html>", content_type="text/html", server="nginx"),
            "The response does not come from messaging_api: HTTP 404 with text/html from nginx.",
        ),
        (answer("200 OK", "{}"), "The response does not come from messaging_api: HTTP 200."),
        (
            answer("301 Moved Permanently", location="https://msg.example/", server="nginx"),
            "The server redirects to https:// (HTTP 301 from nginx). Is this its address?",
        ),
        (
            answer("400 Bad Request", "The plain HTTP request was sent to HTTPS port", server="nginx"),
            "The server expects https:// instead of http:// (HTTP 400 from nginx).",
        ),
    ],
)
def test_other_servers_are_described(env: dict[str, str], service: Running, response: bytes, said: str) -> None:
    """The error says what responded, and what is probably wrong with the address."""
    with proxied(service.url, response) as proxy:
        done = run(env, "send", "--to", proxy.url, "--wait", "0", stdin=b"x")
    assert (done.code, done.err) == (5, f"messaging-api: {said}\n")


def test_wrong_scheme_of_the_server_is_described(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """https to a server without TLS, and http to one with TLS that closes the connection, as OpenSSL's does."""
    no_tls = run(env, "send", "--to", service.url.replace("http:", "https:"), stdin=b"x")
    assert (no_tls.code, "does not speak TLS: try http:// instead" in no_tls.err) == (5, True)
    now, port = datetime.now(UTC), free_port()
    names = (tmp_path / "cert.pem", tmp_path / "key.pem")
    issue(make_authority(now, 1), ["127.0.0.1"], now, 1).save(*names)
    command = [require("openssl"), "s_server", "-accept", str(port), "-cert", str(names[0]), "-key", str(names[1])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout
        while b"ACCEPT" not in server.stdout.readline():
            pass
        plain = run(env, "send", "--to", f"127.0.0.1:{port}", "--wait", "0", stdin=b"x")
        server.terminate()
    assert (plain.code, "does this server expect https://?" in plain.err) == (5, True), plain.err


def test_too_long_lifetime_names_the_longest(env: dict[str, str], service: Running) -> None:
    """The lifetime that the server accepts is written like that on the command line."""
    done = run(env, "send", "--to", service.url, "--ttl", "30d", stdin=b"x")
    assert (done.code, done.err) == (6, "messaging-api: The lifetime is 30d; this server accepts 1s to 7d.\n")


def test_tokens(env: dict[str, str], tmp_path: Path) -> None:
    """A token comes from a variable, a file or the config file, and never from the command line."""
    made = run(env, "token").out.decode()
    token, known = re.findall(r"(?:token|hash): +(\S+)", made)
    (tmp_path / "token").write_text(token + "\n")
    store = f"sqlite://{tmp_path}/m.db"
    with serving(tmp_path / "service", store, "--workers", "1", "--create-tokens", known) as service:
        to = ("send", "--to", service.url)
        refused = run(env, *to, stdin=b"x")
        assert refused.code == 6
        assert "token" in refused.err
        assert run({**env, "MESSAGING_API_CLIENT_TOKEN": token}, *to, stdin=b"x").code == 0
        assert run({**env, "MESSAGING_API_CLIENT_TOKEN_FILE": str(tmp_path / "token")}, *to, stdin=b"x").code == 0
        assert run(env, *to, "--token-file", str(tmp_path / "token"), stdin=b"x").code == 0
        write_config(env, f'token = "{token}"')
        assert run(env, *to, stdin=b"x").code == 6
        write_config(env, f'server = "{service.url}"\ntoken = "{token}"')
        link = run(env, "send", stdin=b"x").out.decode().strip()
        assert run(env, "read", link).out == b"x"


@pytest.mark.parametrize("kind", ["token", "token_file"])
def test_token_in_the_config_file_is_for_its_server(
    env: dict[str, str], service: Running, tmp_path: Path, kind: str
) -> None:
    """The token is not sent to a server that is named elsewhere."""
    (tmp_path / "token").write_text("hush")
    value = "hush" if kind == "token" else tmp_path / "token"
    with proxied(service.url) as its_own, proxied(service.url) as another:
        write_config(env, f'server = "{its_own.url}"\n{kind} = "{value}"')
        assert run(env, "send", stdin=b"x").code == 0
        assert run(env, "send", "--to", another.url, stdin=b"x").code == 0
        assert run({**env, "MESSAGING_API_CLIENT_SERVER": another.url}, "send", stdin=b"x").code == 0
        assert [b"bearer hush" in request.lower() for request in its_own.requests] == [True]
        assert [b"bearer" in request.lower() for request in another.requests] == [False, False]


def test_certificates(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """Untrusted certificates are rejected. --ca, its variable and SSL_CERT_FILE add trust."""
    ca, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    made = [
        require("openssl"),
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    named = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(ca)]
    subprocess.run([*made, *named], check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(ca, key)
    with proxied(service.url, tls=tls) as proxy:
        untrusted = run(env, "send", "--to", proxy.url, stdin=b"x")
        assert untrusted.code == 5
        assert "certificate is not trusted" in untrusted.err
        for vouched in ({}, {"MESSAGING_API_CLIENT_CA": str(ca)}, {"SSL_CERT_FILE": str(ca)}):
            options = () if vouched else ("--ca", str(ca))
            link = run({**env, **vouched}, "send", "--to", proxy.url, *options, stdin=b"x").out.decode().strip()
            read = run({**env, **vouched}, "read", proxy.through(link), *options)
            assert read.out == b"x"


@pytest.mark.parametrize("wait", [0.0, 300.0])
def test_wait_limits_the_time_for_retries(wait: float) -> None:
    """--wait limits the time, not the number of attempts. 0 means one attempt."""
    busy = HttpResponse(503, {}, b"")
    with connect(ClientSettings(wait=wait), Spinner("")) as client:
        policy = client._policy
        assert (policy.delay(1, 0, busy) is None) == (wait == 0)
        assert (policy.delay(1000, wait - 10, busy) is None) == (wait == 0)
        assert policy.delay(1, wait + 1, busy) is None


def test_retries_are_shown_at_a_terminal(env: dict[str, str], service: Running) -> None:
    """Retries are shown at a terminal, and nowhere else."""
    busy = answer("503 Service Unavailable", retry_after="2")
    with proxied(service.url, busy, "pass", busy) as proxy:
        ran = at_terminal(["send", "--to", proxy.url], stdin=b"hello", env=env)
        assert ran.code == 0
        assert "The server is busy: trying again in 2 s" in ran.screen
        assert run(env, "send", "--to", proxy.url, stdin=b"hello").err == ""


def test_message_typed_at_a_terminal(env: dict[str, str], service: Running) -> None:
    """`send` explains how to end the message."""
    ran = at_terminal(["send", "--to", service.url], [("Ctrl-D", "hello\n\x04")], env=env)
    assert ran.code == 0
    assert "keep it for yourself" in ran.screen
    assert run(env, "read", ran.out.decode().strip()).out == b"hello\n"


@pytest.mark.parametrize(
    ("typed", "completed"),
    [("messaging-api rece", ["receipt"]), ("messaging-api send --pass", ["--password", "--password-file"])],
)
def test_completion(env: dict[str, str], typed: str, completed: list[str]) -> None:
    """The script of `completion bash` completes commands and options in a real bash."""
    script = (
        "source <(messaging-api completion bash 2>/dev/null); "
        f"COMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); "
        '_messaging_api_completion messaging-api; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    path = f"{Path(COMMAND).parent}:{os.environ['PATH']}"
    ran = subprocess.run(["bash", "-c", script], env={**env, "PATH": path}, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == completed


def test_completion_explains_itself(env: dict[str, str]) -> None:
    """There is a script for each shell, and an explanation of how to install it."""
    how = run(env, "completion").out.decode()
    for shell in ("zsh", "fish"):
        assert f"messaging-api completion {shell}" in how
        assert b"_MESSAGING_API_COMPLETE" in run(env, "completion", shell).out


@pytest.mark.parametrize(("command", "spared"), [("serve", "httpx"), ("send", "httptools"), ("read", "httptools")])
def test_commands_import_only_what_they_need(command: str, spared: str) -> None:
    """`serve` does not import the HTTP client, and the others do not import the server."""
    watch = f"import sys, messaging_api.cli.{command}; sys.exit('{spared}' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", watch], check=False).returncode == 0
