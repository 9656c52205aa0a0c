"""The web pages and their files, made once; a request only chooses among them."""

import gzip
import html
from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files

import msgspec

from messaging_api.core.message import MAX_READS, MessageLimits
from messaging_api.web.api_docs import reference
from messaging_api.web.negotiation import accepts, language
from messaging_api.web.pages import assets as site
from messaging_api.web.types import Header, Response

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
_TYPES = {"js": b"text/javascript; charset=utf-8", "css": b"text/css; charset=utf-8", "svg": b"image/svg+xml"}
_FOREVER: tuple[Header, ...] = (
    (b"cache-control", b"public, max-age=31536000, immutable"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"vary", b"accept-encoding"),
)
_LIVES = (300, 3600, 86_400, 3 * 86_400, 7 * 86_400)
_LIFE = 86_400
_READS = (1, 2, 3, 5, 10, 100, MAX_READS)
_UNITS = (("days", 86_400), ("hours", 3600), ("minutes", 60), ("seconds", 1))

Headers = Mapping[bytes, bytes]


class _Variants:
    """One answer, as it is and compressed."""

    def __init__(self, headers: tuple[Header, ...], body: bytes, brotli: bytes | None = None) -> None:
        def compressed(coding: bytes, content: bytes) -> Response:
            return Response(200, (*headers, (b"content-encoding", coding)), content)

        self._plain = Response(200, headers, body)
        self._gzip = compressed(b"gzip", gzip.compress(body, mtime=0))
        self._brotli = compressed(b"br", brotli) if brotli is not None else None

    def choose(self, headers: Headers) -> Response:
        """The smallest that the client takes."""
        accepted = headers.get(b"accept-encoding", b"")
        if self._brotli is not None and accepts(accepted, "br"):
            return self._brotli
        return self._gzip if accepts(accepted, "gzip") else self._plain


class Pages:
    """The pages of a service with these bounds, in each language there are words for."""

    def __init__(self, bounds: MessageLimits) -> None:
        self._languages = tuple(site.words())
        self._pages = {
            (name, tongue): _Variants(_html(tongue), _page(name, tongue, bounds))
            for name in ("index", "reader", "receipt")
            for tongue in self._languages
        }
        self._assets = {name: _asset(name, body) for name, body in site.assets().values()}

    def page(self, name: str, headers: Headers) -> Response:
        """The page `name` (index, reader, receipt or docs) for a request with these headers."""
        page = self._docs if name == "docs" else self._pages[name, self._language(headers)]
        return page.choose(headers)

    def asset(self, name: str, headers: Headers) -> Response | None:
        """A file of the pages; None for one that is not there."""
        found = self._assets.get(name)
        return found.choose(headers) if found is not None else None

    def posted(self, url: str, receipt: str, expires_at: str, reads: int | None, headers: Headers) -> Response:
        """The answer to a form that was posted without JavaScript. Not compressed: it holds a secret."""
        tongue = self._language(headers)
        key = {None: "factUnlimited", 1: "factOnce"}.get(reads, "factTimes")
        values = {
            "url": url,
            "receipt_url": receipt,
            "posted.readers": str(site.words()[tongue]["write"][key]).replace("{n}", str(reads)),
            "expires_at": expires_at,
            "expires_text": f"{expires_at[:10]} {expires_at[11:16]} UTC",
        }
        escaped = {name: html.escape(value) for name, value in values.items()}
        return Response(200, _html(tongue), site.page("posted.html", tongue, {"root": "./", **escaped}))

    def refused(self, refusal: Response, path: str, headers: Headers) -> Response:
        """A problem at `path` as a page, for those whose browser shows what it gets."""
        tongue = self._language(headers)
        problem = msgspec.json.decode(refusal.body)
        texts = {name: html.escape(problem[name]) for name in ("title", "detail")}
        values = {"root": "./" if path.count("/") == 1 else "/", **texts}
        own = tuple(header for header in refusal.headers if header[0] != b"content-type")
        return refusal._replace(headers=(*_html(tongue), *own), body=site.page("refused.html", tongue, values))

    @cached_property
    def _docs(self) -> _Variants:
        return _Variants(_html("en"), reference())

    def _language(self, headers: Headers) -> str:
        return language(headers.get(b"accept-language", b""), self._languages)


def _html(tongue: str) -> tuple[Header, ...]:
    return (*_HTML, (b"content-language", tongue.encode()))


def _asset(name: str, body: bytes) -> _Variants:
    packed = files(__package__).joinpath("packed", f"{name}.br")
    headers = ((b"content-type", _TYPES[name.rpartition(".")[2]]), *_FOREVER)
    return _Variants(headers, body, packed.read_bytes() if packed.is_file() else None)


def _page(name: str, tongue: str, bounds: MessageLimits) -> bytes:
    group = "write" if name == "index" else name
    words = site.words()[tongue]
    limits = {"max_message_bytes": bounds.max_bytes, "max_ttl": bounds.max_ttl}
    values = {
        "root": "./" if name == "index" else "../",
        "lives": "".join(_option(seconds, _life(seconds, words), _LIFE) for seconds in _lives(bounds.max_ttl)),
        "reads": "".join(_option(reads, _counted(words["write"]["times"], reads), 1) for reads in _READS),
        "max_reads": str(MAX_READS),
        "write.room": html.escape(str(words["write"]["room"]).replace("{n}", f"{bounds.max_bytes:,}")),
    }
    data = {"limits": limits, "words": {part: words[part] for part in (group, "problems")}}
    return site.page(f"{group}.html", tongue, values, f"{group}.js", data)


def _lives(longest: int) -> list[int]:
    return sorted({*(seconds for seconds in _LIVES if seconds <= longest), longest})


def _life(seconds: int, words: site.Words) -> str:
    unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0)
    return _counted(words["write"][unit], seconds // size)


def _counted(forms: dict[str, str], number: int) -> str:
    return forms["one" if number == 1 else "other"].replace("{n}", str(number))


def _option(value: int, text: str, chosen: int) -> str:
    return f'<option value="{value}"{" selected" * (value == chosen)}>{html.escape(text)}</option>'
