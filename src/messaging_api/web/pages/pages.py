"""The web pages and their files as responses. They are rendered when the service starts; a request only selects one."""

import gzip
import html
import re
from collections.abc import Mapping
from functools import cached_property

from messaging_api.core.message import MAX_READS, MessageLimits
from messaging_api.web.negotiation import accepts, language
from messaging_api.web.pages.assets import assets, generated
from messaging_api.web.pages.branding import DEFAULT, Branding
from messaging_api.web.pages.templates import render
from messaging_api.web.pages.words import counted, words
from messaging_api.web.problems import Problem
from messaging_api.web.responses import HeaderBlock, Response
from messaging_api.web.types import Header

_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HTML: tuple[Header, ...] = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", _POLICY),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"vary", b"accept, accept-encoding, accept-language"),
)
_TYPES = {
    "js": b"text/javascript; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "svg": b"image/svg+xml",
    "png": b"image/png",
}
_ADDRESS = b"https://msg.example"
"""Stands for the address of the service in the page /docs as the build writes it (`scripts/api_docs.py`)."""
_IMMUTABLE: tuple[Header, ...] = (
    (b"cache-control", b"public, max-age=31536000, immutable"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"vary", b"accept-encoding"),
)
_TTLS = (300, 3600, 86_400, 3 * 86_400, 7 * 86_400)
_SELECTED_TTL = 86_400
_READS = (1, 2, 3, 5, 10, 100, MAX_READS)
_UNITS = (("years", 366 * 86_400), ("days", 86_400), ("hours", 3600), ("minutes", 60), ("seconds", 1))

_CHOSEN = re.compile(rb"(?:^|&)lang=([a-z]{2})(?:&|$)")

Headers = Mapping[bytes, bytes]


class _Encodings:
    """One response, uncompressed and compressed."""

    def __init__(self, headers: tuple[Header, ...], body: bytes, brotli: bytes | None = None) -> None:
        def compressed(coding: bytes, content: bytes) -> tuple[HeaderBlock, bytes]:
            return HeaderBlock(*headers, (b"content-encoding", coding)), content

        self._plain = HeaderBlock(*headers), body
        self._gzip = compressed(b"gzip", gzip.compress(body, mtime=0))
        self._brotli = compressed(b"br", brotli) if brotli is not None else None

    def choose(self, headers: Headers) -> Response:
        """Return the smallest encoding that the client accepts."""
        accepted = headers.get(b"accept-encoding", b"")
        if self._brotli is not None and accepts(accepted, "br"):
            return Response(200, *self._brotli)
        return Response(200, *(self._gzip if accepts(accepted, "gzip") else self._plain))


class Pages:
    """The pages of a service with these limits, in every language that has a file of words.

    `branding` is the look of the service; `needs_token` says that creating a message requires a token.
    """

    def __init__(self, limits: MessageLimits, branding: Branding = DEFAULT, *, needs_token: bool = False) -> None:
        self._branding = branding
        self._files = branding.files()
        self._languages = tuple(words())
        self._pages = {
            (name, lang): _Encodings(_html_headers(lang), self._page(name, lang, limits, needs_token=needs_token))
            for name in ("index", "reader", "receipt")
            for lang in self._languages
        }
        self._docs_block = HeaderBlock(*_html_headers("en"))
        self._assets = {name: _asset(name, body) for name, body in [*assets().values(), *self._files.values()]}

    def page(self, name: str, headers: Headers, query: bytes = b"") -> Response:
        """Return the page `name` (index, reader or receipt) for a request; `lang=` in its query is a language."""
        return self._pages[name, self._language(headers, query)].choose(headers)

    def docs(self, address: str) -> Response:
        """Return the page /docs, with the address of the service in its examples.

        It is not compressed: a client may name any host, and each would cost a millisecond.
        """
        return Response(200, self._docs_block, self._docs.replace(_ADDRESS, html.escape(address).encode()))

    def asset(self, name: str, headers: Headers) -> Response | None:
        """Return the file `name` below /assets, or None if there is none."""
        found = self._assets.get(name)
        return found.choose(headers) if found is not None else None

    def created(self, url: str, receipt: str, expires_at: str, reads: int | None, headers: Headers) -> Response:
        """Return the response to a form that was sent without JavaScript.

        It is not compressed, because it holds a secret (BREACH).
        """
        lang = self._language(headers)
        key = {None: "factUnlimited", 1: "factOnce"}.get(reads, "factTimes")
        readers = counted(lang, "write", key, reads or 0)
        values = {
            "url": url,
            "receipt_url": receipt,
            "posted.readers": readers,
            "expires_at": expires_at,
            "expires_text": _time(expires_at),
        }
        escaped = {name: html.escape(value) for name, value in values.items()}
        return Response(
            200, HeaderBlock(*_html_headers(lang)), self._render("posted.html", lang, {"root": "./", **escaped})
        )

    def shown(self, text: str, expires_at: str, reads_left: int | None, headers: Headers) -> Response:
        """Return the page of a message that was read without JavaScript. It is not compressed, as in `created`."""
        lang = self._language(headers)
        key = {None: "leftUnlimited", 0: "leftNone"}.get(reads_left, "left")
        left = counted(lang, "reader", key, reads_left or 0).replace("{when}", _time(expires_at))
        message = html.escape(text).replace("\r", "&#13;")
        values = {"root": "../", "message": message, "left": html.escape(left)}
        return Response(200, HeaderBlock(*_html_headers(lang)), self._render("shown.html", lang, values))

    def sealed(self, headers: Headers) -> Response:
        """Return the page that says that a message is encrypted, so that it was not read without JavaScript."""
        lang = self._language(headers)
        return Response(200, HeaderBlock(*_html_headers(lang)), self._render("sealed.html", lang, {"root": "../"}))

    def problem(self, problem: Problem, path: str, headers: Headers) -> Response:
        """Return a page that shows a person what went wrong at `path`."""
        lang, row = self._language(headers), problem.type
        root = "./" if path.count("/") == 1 else "/"
        values = {"root": root, "title": html.escape(row.title), "detail": html.escape(problem.detail)}
        body = self._render("refused.html", lang, values)
        block = HeaderBlock(*_html_headers(lang))
        return Response(row.status, block, body, lines=problem.lines, reason=problem.reason, close=row.close)

    def _render(
        self, template: str, lang: str, values: Mapping[str, str], script: str = "", data: object = None
    ) -> bytes:
        branding = self._branding.values(values["root"], words()[lang]["layout"], self._files)
        return render(template, lang, {**branding, **values}, script, data)

    def _page(self, name: str, lang: str, limits: MessageLimits, *, needs_token: bool) -> bytes:
        group = "write" if name == "index" else name
        texts = words()[lang]
        values = {
            "root": "./" if name == "index" else "../",
            "lives": "".join(_option(seconds, _lifetime(seconds, lang), _SELECTED_TTL) for seconds in _ttls(limits)),
            "reads": "".join(_option(reads, counted(lang, "write", "times", reads), 1) for reads in _READS),
            "max_reads": str(MAX_READS),
            "token_hidden": "" if needs_token else " hidden",
            "write.room": html.escape(texts["write"]["room"].replace("{size}", _size(limits.max_bytes, lang))),
        }
        data = {
            "limits": {
                "max_message_bytes": limits.max_bytes,
                "max_ttl": limits.max_ttl,
                "resume_seconds": limits.resume_seconds,
            },
            "words": {part: texts[part] for part in (group, "problems", "copying")},
        }
        values["languages"] = _switch(lang)
        return self._render(f"{group}.html", lang, values, f"{group}.js", data)

    @cached_property
    def _docs(self) -> bytes:
        return generated("docs.html").read_bytes()

    def _language(self, headers: Headers, query: bytes = b"") -> str:
        chosen = _CHOSEN.search(query)
        if chosen and chosen[1].decode() in self._languages:
            return chosen[1].decode()
        return language(headers.get(b"accept-language", b""), self._languages)


def _html_headers(lang: str) -> tuple[Header, ...]:
    return (*_HTML, (b"content-language", lang.encode()))


def _asset(name: str, body: bytes) -> _Encodings:
    headers = ((b"content-type", _TYPES[name.rpartition(".")[2]]), *_IMMUTABLE)
    return _Encodings(headers, body, _brotli(name))


def _brotli(name: str) -> bytes | None:
    compressed = generated(f"{name}.br")
    return compressed.read_bytes() if compressed.is_file() else None


def _ttls(limits: MessageLimits) -> list[int]:
    return sorted({*(seconds for seconds in _TTLS if seconds <= limits.max_ttl), limits.max_ttl})


def _lifetime(seconds: int, lang: str) -> str:
    unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0)
    return counted(lang, "write", unit, seconds // size)


def _size(size: int, lang: str) -> str:
    """Return a number of bytes for people, as `size` in page.js does."""
    unit, number = ("bytes", size) if size < 1024 else ("kilobytes", round(size / 1024))
    return counted(lang, "write", unit, number)


def _switch(current: str) -> str:
    """Return the links to a page in the other languages."""
    links = []
    for lang, texts in words().items():
        mark = ' aria-current="true"' if lang == current else ""
        name = html.escape(texts["layout"]["name"])
        links.append(f'<a href="?lang={lang}" lang="{lang}" hreflang="{lang}"{mark}>{name}</a>')
    return f'<nav aria-label="{html.escape(words()[current]["layout"]["language"])}">{" ".join(links)}</nav>'


def _time(moment: str) -> str:
    return f"{moment[:10]} {moment[11:16]} UTC"


def _option(value: int, text: str, chosen: int) -> str:
    return f'<option value="{value}"{" selected" * (value == chosen)}>{html.escape(text)}</option>'
