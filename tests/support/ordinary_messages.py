"""Ordinary messages, such as people paste. To a firewall most of them look like attacks."""

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.compose_stack import ROOT
from tests.support.waf_attacks import PAYLOADS

LONG = 60_000


def sources() -> list[str]:
    """Return programs, queries, documents and configuration: the files of this project."""
    kinds = ("py", "lua", "md", "yaml", "yml", "toml", "conf", "html", "js", "css", "svg")
    files = (
        path
        for kind in kinds
        for folder in ("src", "tests", "deploy", "docs")
        for path in (ROOT / folder).rglob(f"*.{kind}")
    )
    return [path.read_text() for path in sorted(files) if path.stat().st_size]


SNIPPETS = (
    *(Path(__file__).parent / "snippets.txt").read_text().rstrip("\n").split("\n%%\n"),
    "GET /index.php?id=1%27%20OR%201=1 HTTP/1.1\r\nHost: example.com\r\nCookie: a=b\r\n\r\nPOST / HTTP/1.1\r\n\r\n",
    '--boundary\r\nContent-Disposition: form-data; name="message"\r\n\r\nnot a part\r\n--boundary--\r\n-- \r\n--\r\n',
    "🙂🔥 привет мир 你好 مرحبا \u200b\u202e e\u0301 \x07\x1b[31mred\x1b[0m\x00 ½ ‰",
)


def snippet(chance: random.Random) -> str:
    """Return one or several of the snippets and payloads."""
    return "\n".join(chance.choices([*SNIPPETS, *PAYLOADS.values()], k=chance.randint(1, 4)))


def password(chance: random.Random) -> str:
    """Return a random password of printable characters."""
    return "".join(chance.choices(string.printable[:94], k=chance.randint(8, 40)))


def key(chance: random.Random) -> str:
    """Return a private key, or a token."""
    if chance.random() < 0.5:
        return base64.b64encode(chance.randbytes(chance.randint(20, 400))).decode()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(*form).decode()


def source(chance: random.Random) -> str:
    """Return a part of a file."""
    text = chance.choice(SOURCES)
    begin = chance.randrange(len(text))
    return text[begin : begin + chance.randint(1, 8000)]


def log(chance: random.Random) -> str:
    """Return lines of a log."""
    return "\n".join(
        json.dumps({"at": chance.random(), "sql": chance.choice(SNIPPETS), "id": chance.randbytes(8).hex()})
        for _ in range(chance.randint(1, 20))
    )


def characters(chance: random.Random) -> str:
    """Return arbitrary characters."""
    points = (
        chance.choice((chance.randrange(32, 127), chance.randrange(0x20, 0xD800), chance.randrange(0x1F300, 0x1FAFF)))
        for _ in range(chance.randint(1, 300))
    )
    return "".join(map(chr, points))


def long(chance: random.Random) -> str:
    """Return a text of the maximum length, of all kinds."""
    text = ""
    while len(text.encode()) < LONG:
        text += chance.choice((snippet, key, source, log, characters))(chance)
    return text.encode()[:LONG].decode(errors="ignore")


SOURCES = sources()
KINDS: tuple[Callable[[random.Random], str], ...] = (
    snippet,
    password,
    source,
    key,
    log,
    characters,
    snippet,
    source,
    password,
    long,
)


def messages(count: int, seed: int) -> Iterator[str]:
    """Yield so many messages, the same for the same seed except for private keys."""
    chance = random.Random(seed)
    return (kind(chance) for kind in islice(cycle(KINDS), count))
