"""Settings as fields of a frozen dataclass, read from the sources where they can be set."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from messaging_api.errors import SettingsError
from messaging_api.urls import InvalidAddress

SourceName = Literal["option", "environment", "config", "file", "default"]
Value = TypeVar("Value")


class Reader(NamedTuple, Generic[Value]):
    """Makes a value from text. `parse` raises ValueError for a text that does not have the `shape`."""

    shape: str
    parse: Callable[[str], Value]


def setting(
    default: Value, reader: Reader[Any], meaning: str, *, shown_default: str = "", secret: bool = False
) -> Value:
    """Return a dataclass field for one setting.

    `shown_default` describes a default that depends on the machine or is empty. The value of a `secret` is not in the
    repr of the settings.
    """
    shown = shown_default or ("none" if default in (None, "", ()) else display(default))
    metadata = {"read": reader.parse, "shape": reader.shape, "meaning": meaning, "default": shown}
    made: Value = field(default=default, repr=not secret, metadata=metadata)
    return made


def display(value: object) -> str:
    """Return a value as it is written in an option."""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def whole(low: int, high: int) -> Reader[int]:
    """Return a reader of whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,15}", text, re.ASCII) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return Reader(f"{low} to {high}", parse)


def matching(shape: str, pattern: str) -> Reader[str]:
    """Return a reader of text that matches `pattern` as a whole."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError
        return text

    return Reader(shape, parse)


def text(shape: str) -> Reader[str]:
    """Return a reader of any text but the empty one."""
    return matching(shape, "(?s:.+)")


def comma_separated(item: Reader[Value]) -> Reader[tuple[Value, ...]]:
    """Return a reader of any number of items, separated by commas."""

    def parse(text: str) -> tuple[Value, ...]:
        return tuple(item.parse(each.strip()) for each in text.split(",")) if text.strip() else ()

    return Reader(f"{item.shape}[,…]", parse)


class SettingsSource(NamedTuple):
    """A source of settings. Keys of `texts` are names of fields, or `<name>_file` for a file that holds the value."""

    source: SourceName
    texts: Mapping[str, str]
    spell: Callable[[str], str]

    @classmethod
    def options(cls, texts: Mapping[str, str]) -> "SettingsSource":
        """Return the options of the command line."""
        return cls("option", texts, lambda key: f"--{key.replace('_', '-')}")

    @classmethod
    def environment(cls, prefix: str, environ: Mapping[str, str]) -> "SettingsSource":
        """Return the variables whose names begin with `prefix`."""
        ours = {name: text for name, text in environ.items() if name.startswith(prefix)}
        texts = {name.removeprefix(prefix).lower() if name.isupper() else name: text for name, text in ours.items()}
        return cls("environment", texts, lambda key: key if key.startswith(prefix) else prefix + key.upper())

    @classmethod
    def config(cls, path: Path, texts: Mapping[str, str]) -> "SettingsSource":
        """Return the contents of the config file at `path`."""
        return cls("config", texts, lambda key: f"{key} in {path}")


def resolve(kind: type, candidates: Sequence[SettingsSource]) -> tuple[dict[str, Any], dict[str, SourceName]]:
    """Return the values of the fields of `kind` that are set, and the source of every field. The first source wins.

    Raises SettingsError for a malformed value, an unknown name, or a file that cannot be read.
    """
    known = {spec.name: spec for spec in fields(kind)}
    values: dict[str, Any] = {}
    sources: dict[str, SourceName] = dict.fromkeys(known, "default")
    for candidate in candidates:
        for key, text in sorted(candidate.texts.items()):
            name = key if key in known else key.removesuffix("_file")
            if name not in known:
                near = get_close_matches(name, known, 1)
                hint = f"did you mean {candidate.spell(near[0])}?" if near else f"there are {', '.join(known)}."
                raise SettingsError(f"{candidate.spell(key)} is not a setting; {hint}")
            if name in values:
                continue
            values[name] = _read(known[name], candidate.spell(key), text if key == name else _contents(text))
            sources[name] = candidate.source if key == name else "file"
    return values, sources


def _read(spec: "Field[Any]", origin: str, text: str) -> object:
    try:
        return spec.metadata["read"](text)
    except ValueError as error:
        reason = f" {error}" if isinstance(error, InvalidAddress) else ""
        raise SettingsError(f"{origin} must be: {spec.metadata['shape']}.{reason}") from None


def _contents(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{path} cannot be read: {reason}.") from None
