"""The fields of a multipart/form-data body (RFC 7578)."""

from collections.abc import Callable
from typing import NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from messaging_api.errors import InvalidRequest


class Part(NamedTuple):
    """One part: its name, its content, and whether it has the name of a file."""

    name: bytes
    value: bytearray
    is_file: bool


def parse_multipart(body: bytes, boundary: str) -> list[Part]:
    """Return the parts in order. Raises InvalidRequest."""
    parts = _Parts()
    try:
        parser = MultipartParser(boundary.encode("latin-1"), parts.callbacks())  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise InvalidRequest("The body is not multipart/form-data with the boundary in its Content-Type.") from None
    if not parts.ended:
        raise InvalidRequest("The multipart/form-data body ends before its last boundary.")
    return parts.found


class _Parts:
    """A collector of the parts that the parser finds."""

    def __init__(self) -> None:
        self.ended = False
        self.found: list[Part] = []
        self._header = bytearray()
        self._value = bytearray()

    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": lambda: self.found.append(Part(b"", bytearray(), is_file=False)),
            "on_part_data": lambda data, start, end: self.found[-1].value.extend(data[start:end]),
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_end": self._end,
        }

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self.found[-1] = Part(options.get(b"name", b""), bytearray(), b"filename" in options)
        self._header.clear()
        self._value.clear()

    def _end(self) -> None:
        self.ended = True
