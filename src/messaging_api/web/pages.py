"""The web pages, made once."""

from messaging_api.web.http import Response

_PAGE = b"""<!doctype html><html lang=en><meta charset=utf-8><title>messaging_api</title>
<form method=post><textarea name=message required></textarea><button>Get a link</button></form>"""
_HEADERS = ((b"content-type", b"text/html; charset=utf-8"),)


class Pages:
    """The web pages and their files, read once from the package."""

    def page(self, name: str, accept_encoding: bytes) -> Response:
        """The page `name`: index, reader, receipt or docs."""
        return Response(200, _HEADERS, _PAGE)

    def asset(self, name: str, accept_encoding: bytes) -> Response | None:
        """A file of the pages; None for one that is not there."""
        return None

    def posted(self, url: str, receipt: str, expires_at: str, reads: int | None, accept_encoding: bytes) -> Response:
        """The answer to a form that was posted without JavaScript."""
        return Response(200, _HEADERS, f"<!doctype html><a href='{url}'>{url}</a>".encode())
