"""The commands that send and read, as people and scripts run them, against the real service."""

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
from messaging_api.settings.client import ClientSettings
from tests.support.faulty_proxy import answer, proxied
from tests.support.redis_server import free_port
from tests.support.service import COMMAND, Running, serving
from tests.support.terminals import CTRL_C, at_terminal, home
from tests.unit.test_app import leaves

UNLIMITED = ("--workers", "1", "--limit-create", "0", "--limit-miss", "0")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service for all of these."""
    folder = tmp_path_factory.mktemp("command")
    with serving(folder, f"sqlite://{folder}/messages.db", *UNLIMITED) as running:
        yield running


class Done(NamedTuple):
    """How a command without a terminal ended."""

    code: int
    out: bytes
    err: str


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A home of its own."""
    (tmp_path / "home").mkdir()
    return home(tmp_path / "home")


def run(env: dict[str, str], *arguments: str, stdin: bytes = b"", stdout: Any = subprocess.PIPE) -> Done:
    """The command, with no terminal anywhere."""
    ran = subprocess.run(
        [COMMAND, *arguments],
        input=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=env,
        start_new_session=True,
        timeout=60,
        check=False,
    )
    return Done(ran.returncode, ran.stdout, ran.stderr.decode())


def sent(env: dict[str, str], service: Running, text: str, *options: str) -> dict[str, Any]:
    """A message sent, as --json tells of it."""
    done = run(env, "send", "--to", service.url, "--json", *options, stdin=text.encode())
    assert done.code == 0, done.err
    told: dict[str, Any] = json.loads(done.out)
    return told


def state(env: dict[str, str], receipt: str) -> str:
    """What became of a message."""
    return run(env, "receipt", receipt).out.decode().strip()


def kept(env: dict[str, str]) -> list[Path]:
    """The messages that were kept."""
    return list(Path(env["HOME"], ".local/state/messaging_api").glob("*.envelope"))


@pytest.mark.parametrize(
    "text", [b"hello", b"a\r\nb\r\n", b"\xef\xbb\xbfx", b"\x00\x1b[31m", b"\n", "é 你好 👩‍🚀".encode()]
)
def test_pipes(env: dict[str, str], service: Running, text: bytes) -> None:
    """A message in by pipe, its link out by pipe and nothing else; the same bytes come back."""
    done = run(env, "send", "--to", service.url, stdin=text)
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(rf"{service.url}/msg/[0-9a-f-]{{36}}#[A-Za-z0-9_-]{{43}}\n".encode(), done.out)
    assert run(env, "read", stdin=done.out) == (0, text, "")
    assert run(env, "read", done.out.decode().strip()) == (0, text, "")


def test_files_and_options(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """A file, a life, a number of readers; -v tells on standard error what a terminal would be told."""
    (tmp_path / "note.txt").write_text("a note")
    done = run(env, "send", str(tmp_path / "note.txt"), "--to", service.url, "--ttl", "2h", "--reads", "2", "-v")
    assert done.out.count(b"\n") == 1
    assert re.search(r"Expires  \d{4}.*UTC\nReads    2\nReceipt  http://\S+/receipt/\S+\n", done.err)
    told = json.loads(run(env, "read", "--json", done.out.decode().strip()).out)
    assert (told["message"], told["reads_left"]) == ("a note", 1)


@pytest.mark.parametrize(("life", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1h", 3600), ("7d", 604_800)])
def test_lives(env: dict[str, str], service: Running, life: str, seconds: int) -> None:
    """Seconds, minutes, hours, days."""
    expires = datetime.fromisoformat(sent(env, service, "x", "--ttl", life)["expires_at"])
    assert abs((expires - datetime.now(UTC)).total_seconds() - seconds) < 30


def test_plain(env: dict[str, str], service: Running) -> None:
    """Without encryption the link has no key, and curl can read it."""
    told = sent(env, service, "hello", "--plain")
    assert not told["encrypted"]
    assert "#" not in told["link"]
    assert subprocess.check_output(["curl", "-s", "-H", "Accept: text/plain", told["link"]]) == b"hello"


def test_receipts(env: dict[str, str], service: Running) -> None:
    """What became of it; burning it; too late."""
    told = sent(env, service, "hello", "--reads", "2")
    run(env, "read", told["link"])
    asked = json.loads(run(env, "receipt", "--json", told["receipt"]).out)
    assert (asked["state"], asked["reads"], asked["reads_left"]) == ("available", 2, 1)
    assert "Reads    1 of 2 left" in run(env, "receipt", "-v", told["receipt"]).err
    assert run(env, "burn", stdin=told["receipt"].encode()) == (0, b"burned\n", "")
    assert run(env, "read", told["link"]).code == 3
    assert run(env, "burn", told["receipt"]).out == b"burned\n"
    wrong = run(env, "burn", told["link"])
    assert wrong.code == 2
    assert "link of a message" in wrong.err


def password_file(tmp_path: Path, name: str, password: str) -> str:
    """A file with a password."""
    (tmp_path / name).write_text(password)
    return str(tmp_path / name)


def test_passwords_in_files(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """One line end does not count, all else does."""
    told = sent(env, service, "hello", "--password-file", password_file(tmp_path, "a", " påss \n"))
    assert told["link"].endswith(".p")
    for content in (" påss ", " påss \n", " påss \r\n", " pa\u030ass "):
        given = password_file(tmp_path, "b", content)
        assert run(env, "read", told["link"], "--password-file", given).out == b"hello"
    assert run(env, "read", told["link"], "--password-file", password_file(tmp_path, "b", "påss")).code == 4
    assert run(env, "send", "--password-file", password_file(tmp_path, "c", "\n"), stdin=b"x").code == 2
    assert kept(env) == []


def test_a_password_is_asked_for_twice(env: dict[str, str], service: Running) -> None:
    """At the terminal, though the message comes by pipe; until both are the same. It shows nowhere."""
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


def test_a_mistyped_password_costs_nothing(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """The one read is spent, and the message opens at the third try."""
    told = sent(env, service, "hello", "--reads", "1", "--password-file", password_file(tmp_path, "a", "right"))
    tries = [("Password: ", "wrong"), ("Password: ", "worse"), ("Password: ", "right")]
    ran = at_terminal(["read", told["link"]], tries, env=env)
    assert (ran.code, ran.out) == (0, b"hello")
    assert ran.screen.count("The password is wrong") == 2
    assert "Reads left: 0" in ran.screen
    assert kept(env) == []


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([("Password: ", "wrong")] * 3, 4),
        ([("Password: ", "wrong"), ("Password: ", CTRL_C)], 130),
        ([("Password: ", "wrong"), ("Password: ", signal.SIGHUP)], 129),
        ([("Password: ", "wrong"), ("Password: ", signal.SIGTERM)], 143),
    ],
)
def test_a_message_that_does_not_open_is_kept(
    env: dict[str, str], service: Running, tmp_path: Path, answers: Any, code: int
) -> None:
    """After three tries, or when somebody gives up or leaves: its file is for its owner alone, and opens later."""
    right = password_file(tmp_path, "a", "right")
    told = sent(env, service, "hello", "--reads", "1", "--password-file", right)
    ran = at_terminal(["read", told["link"]], answers, env=env)
    assert (ran.code, ran.out) == (code, b"")
    [file] = kept(env)
    assert str(file) in ran.screen.replace("\r\n", "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().startswith("e2e1.")
    assert run(env, "read", told["link"], "--envelope", str(file), "--password-file", right).out == b"hello"


def test_without_a_terminal_nobody_is_asked(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """A password that is missing is told before anything is spent; a wrong one keeps the message."""
    told = sent(env, service, "hello", "--reads", "1", "--password-file", password_file(tmp_path, "a", "right"))
    assert run(env, "read", told["link"]).code == 2
    assert run(env, "send", "--to", service.url, "--password", stdin=b"x").code == 2
    assert state(env, told["receipt"]) == "available"
    wrong = run(env, "read", told["link"], "--password-file", password_file(tmp_path, "b", "wrong"))
    assert (wrong.code, wrong.out) == (4, b"")
    assert str(kept(env)[0]) in wrong.err


def test_a_link_without_its_key(env: dict[str, str], service: Running) -> None:
    """The message is kept until the whole link is found; one without its mark still asks for the password."""
    told = sent(env, service, "hello", "--reads", "1")
    cut = run(env, "read", told["link"].partition("#")[0])
    assert cut.code == 4
    assert "key is missing" in cut.err
    assert run(env, "read", told["link"], "--envelope", str(kept(env)[0])).out == b"hello"


def test_a_mark_that_was_cut_off(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """A link without its .p asks for the password after the message is there."""
    told = sent(env, service, "hello", "--reads", "1", "--password-file", password_file(tmp_path, "a", "right"))
    ran = at_terminal(["read", told["link"].removesuffix(".p")], [("Password: ", "right")], env=env)
    assert (ran.code, ran.out) == (0, b"hello")


def test_a_damaged_link_spends_nothing(env: dict[str, str], service: Running) -> None:
    """It is told before anything is asked."""
    told = sent(env, service, "hello", "--reads", "1")
    assert run(env, "read", told["link"][:-1]).code == 2
    assert state(env, told["receipt"]) == "available"


def test_a_link_can_be_typed(env: dict[str, str], service: Running) -> None:
    """Where it shows neither on the screen nor in the list of processes."""
    told = sent(env, service, "hello")
    ran = at_terminal(["read"], [("Link: ", told["link"])], env=env)
    assert (ran.code, ran.out) == (0, b"hello")
    assert told["link"] not in ran.screen


def test_what_cannot_be_written_is_kept(env: dict[str, str], service: Running) -> None:
    """A full disk behind standard output does not lose the message."""
    told = sent(env, service, "hello", "--reads", "1")
    with Path("/dev/full").open("wb") as full:
        done = run(env, "read", told["link"], stdout=full)
    assert done.code == 1
    assert "No space left" in done.err
    assert run(env, "read", told["link"], "--envelope", str(kept(env)[0])).out == b"hello"


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_closed_streams(env: dict[str, str], service: Running, closed: str) -> None:
    """A stream that is not there is told before anything is spent or sent."""
    told = sent(env, service, "hello", "--reads", "1")
    for command in (f"read {told['link']}", f"send --to {service.url}"):
        ran = subprocess.run(["bash", "-c", f"exec {COMMAND} {command} {closed}"], env=env, check=False)
        assert ran.returncode == 2
    assert state(env, told["receipt"]) == "available"


def test_nowhere_to_keep_it(env: dict[str, str], service: Running) -> None:
    """When no file can be made, the message is shown as it came rather than lost."""
    told = sent(env, service, "hello", "--reads", "1")
    Path(env["HOME"], ".local").write_text("no folder")
    command = [COMMAND, "read", told["link"].partition("#")[0]]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd="/proc")
    assert ran.returncode == 4
    assert "\ne2e1." in ran.stderr


def test_output_files(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """A new file for its owner; one that is there is left alone and nothing is spent; none is left after a failure."""
    told, target = sent(env, service, "hello", "--reads", "1"), tmp_path / "out"
    target.write_text("mine")
    assert run(env, "read", told["link"], "-o", str(target)).code == 1
    assert (target.read_text(), state(env, told["receipt"])) == ("mine", "available")
    target.unlink()
    assert run(env, "read", told["link"], "-o", str(target)) == (0, b"", "")
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("hello", 0o600)
    target.unlink()
    assert run(env, "read", told["link"], "-o", str(target)).code == 3
    assert not target.exists()


def test_a_terminal_is_not_played_with(env: dict[str, str], service: Running) -> None:
    """A message cannot act on the terminal it is shown on."""
    told = sent(env, service, "\x1b]0;title\x07 a\rb \x9b31m \x7f\n\tend")
    ran = at_terminal(["read", told["link"]], env=env, out=True)
    assert "␛]0;title␇ a␍b �31m ␡\r\n\tend\r\n" in ran.screen


def test_a_server_cannot_play_with_the_terminal(env: dict[str, str], service: Running) -> None:
    """What a server says of an error may be anybody's words."""
    said = '{"type": "/docs#invalid", "title": "\\u001b[2Jcleared"}'
    with proxied(service.url, answer("400 Bad Request", said, content_type="application/problem+json")) as proxy:
        assert run(env, "send", "--to", proxy.url, stdin=b"x") == (6, b"", "messaging-api: ␛[2Jcleared.\n")


def test_exit_codes(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """One of each, by making it happen."""
    told = sent(env, service, "hello", "--reads", "3")
    (tmp_path / "binary").write_bytes(b"\xff")
    nobody = f"http://127.0.0.1:{free_port()}"
    busy = answer("503 Service Unavailable", retry_after="60")
    with proxied(service.url, "lose", "pass", busy, busy) as proxy:
        codes = {
            "interrupted": run(env, "read", proxy.through(told["link"])).code,
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


def test_every_error_has_its_exit_code() -> None:
    """Each error of the client ends in a code of the table."""
    assert all(any(kind in EXIT_CODES for kind in error.__mro__) for error in leaves(ClientError))


def config(env: dict[str, str], text: str, mode: int = 0o600) -> None:
    """Write the config file."""
    folder = Path(env["HOME"], ".config/messaging_api")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(text)
    (folder / "config.toml").chmod(mode)


def test_where_settings_come_from(env: dict[str, str], service: Running) -> None:
    """The config file, over it the environment, over it the command line."""
    nobody = f"http://127.0.0.1:{free_port()}"
    config(env, f'server = "{service.url}"\nwait = 0\n', mode=0o644)
    assert run(env, "send", stdin=b"x").code == 0
    elsewhere = {**env, "MESSAGING_API_CLIENT_SERVER": nobody}
    assert run(elsewhere, "send", stdin=b"x").code == 5
    assert run(elsewhere, "send", "--to", service.url, stdin=b"x").code == 0


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        ("server = ", 0o600, "must be TOML"),
        ('sever = "http://x"', 0o600, "sever in .* is not a setting; there are server, token, ca, wait"),
        ('server = "x"', 0o600, "must be: http"),
        ('token = "hush"', 0o640, "chmod 600"),
        ('token_file = "/nowhere"', 0o644, "cannot be read"),
        ('ca = "/nowhere"\nserver = "https://x"', 0o644, "No such file"),
    ],
)
def test_settings_that_cannot_be_meant(env: dict[str, str], text: str, mode: int, told: str) -> None:
    """A config file with a mistake is told, and nothing is sent."""
    config(env, text, mode)
    done = run(env, "send", stdin=b"x")
    assert done.code == 2
    assert re.search(told, done.err)
    assert "hush" not in done.err
    assert run({**env, "MESSAGING_API_CLIENT_SEVER": "x"}, "send", stdin=b"x").code == 2


def test_tokens(env: dict[str, str], tmp_path: Path) -> None:
    """A service that wants a token gets it from the environment, a file or the config file, and never from argv."""
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
        config(env, f'token = "{token}"')
        assert run(env, *to, stdin=b"x").code == 6
        config(env, f'server = "{service.url}"\ntoken = "{token}"')
        link = run(env, "send", stdin=b"x").out.decode().strip()
        assert run(env, "read", link).out == b"x"


@pytest.mark.parametrize("kind", ["token", "token_file"])
def test_a_token_in_the_config_file_is_for_its_server(
    env: dict[str, str], service: Running, tmp_path: Path, kind: str
) -> None:
    """It does not go to one that is named elsewhere."""
    (tmp_path / "token").write_text("hush")
    value = "hush" if kind == "token" else tmp_path / "token"
    with proxied(service.url) as its_own, proxied(service.url) as another:
        config(env, f'server = "{its_own.url}"\n{kind} = "{value}"')
        assert run(env, "send", stdin=b"x").code == 0
        assert run(env, "send", "--to", another.url, stdin=b"x").code == 0
        assert run({**env, "MESSAGING_API_CLIENT_SERVER": another.url}, "send", stdin=b"x").code == 0
        assert [b"bearer hush" in request.lower() for request in its_own.requests] == [True]
        assert [b"bearer" in request.lower() for request in another.requests] == [False, False]


def test_certificates(env: dict[str, str], service: Running, tmp_path: Path) -> None:
    """Whom nobody vouches for is not spoken to; --ca, the environment or SSL_CERT_FILE may."""
    ca, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    made = [
        "openssl",
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
def test_waiting_as_long_as_is_said(wait: float) -> None:
    """--wait counts, not the number of tries; 0 is one try."""
    busy = HttpResponse(503, {}, b"")
    with connect(ClientSettings(wait=wait), Spinner("")) as client:
        policy = client._policy
        assert (policy.delay(1, 0, busy) is None) == (wait == 0)
        assert (policy.delay(1000, wait - 10, busy) is None) == (wait == 0)
        assert policy.delay(1, wait + 1, busy) is None


def test_what_takes_long_is_told_at_a_terminal(env: dict[str, str], service: Running) -> None:
    """There, and nowhere else."""
    busy = answer("503 Service Unavailable", retry_after="2")
    with proxied(service.url, busy, "pass", busy) as proxy:
        ran = at_terminal(["send", "--to", proxy.url], stdin=b"hello", env=env)
        assert ran.code == 0
        assert "The server is busy: trying again in 2 s" in ran.screen
        assert run(env, "send", "--to", proxy.url, stdin=b"hello").err == ""


def test_typing_a_message(env: dict[str, str], service: Running) -> None:
    """Somebody at the terminal is told how to end it."""
    ran = at_terminal(["send", "--to", service.url], [("Ctrl-D", "hello\n\x04")], env=env)
    assert ran.code == 0
    assert "keep it for yourself" in ran.screen
    assert run(env, "read", ran.out.decode().strip()).out == b"hello\n"


@pytest.mark.parametrize(
    ("typed", "completed"),
    [("messaging-api rece", ["receipt"]), ("messaging-api send --pass", ["--password", "--password-file"])],
)
def test_completion(env: dict[str, str], typed: str, completed: list[str]) -> None:
    """What `completion bash` prints completes commands and options, in a real bash."""
    script = (
        "source <(messaging-api completion bash 2>/dev/null); "
        f"COMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); "
        '_messaging_api_completion messaging-api; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    path = f"{Path(COMMAND).parent}:{os.environ['PATH']}"
    ran = subprocess.run(["bash", "-c", script], env={**env, "PATH": path}, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == completed


def test_completion_teaches(env: dict[str, str]) -> None:
    """For each shell there is something to print, and how to use it."""
    how = run(env, "completion").out.decode()
    for shell in ("zsh", "fish"):
        assert f"messaging-api completion {shell}" in how
        assert b"_MESSAGING_API_COMPLETE" in run(env, "completion", shell).out


@pytest.mark.parametrize(("command", "spared"), [("serve", "httpx"), ("send", "httptools"), ("read", "httptools")])
def test_who_serves_needs_no_client(command: str, spared: str) -> None:
    """A command imports what it needs and not what the others do."""
    watch = f"import sys, messaging_api.cli.{command}; sys.exit('{spared}' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", watch], check=False).returncode == 0
