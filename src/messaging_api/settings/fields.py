"""Settings declared as the fields of a frozen dataclass, and gathered from the places where they may be set."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from messaging_api.errors import SettingsError

SourceName = Literal["option", "environment", "config", "file", "default"]
Value = TypeVar("Value")


def setting(default: Value, read: Callable[[str], Value], shape: str, meaning: str, *, secret: bool = False) -> Value:
    """A field; `read` makes its value from text or raises ValueError, `shape` says what that text looks like."""
    made: Value = field(default=default, repr=not secret, metadata={"read": read, "shape": shape, "meaning": meaning})
    return made


def whole(low: int, high: int) -> Callable[[str], int]:
    """Reads a whole number within these bounds."""

    def read(text: str) -> int:
        if not re.fullmatch("[0-9]{1,15}", text, re.ASCII) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return read


def listed(read: Callable[[str], Value]) -> Callable[[str], tuple[Value, ...]]:
    """Reads values with commas between them, or nothing."""

    def read_all(text: str) -> tuple[Value, ...]:
        return tuple(read(one.strip()) for one in text.split(",")) if text.strip() else ()

    return read_all


class SettingsSource(NamedTuple):
    """Where settings may stand. Keys of `texts` are names of fields, or `<name>_file` for a file with the value."""

    source: SourceName
    texts: Mapping[str, str]
    spell: Callable[[str], str]

    @classmethod
    def options(cls, texts: Mapping[str, str]) -> "SettingsSource":
        """The command line."""
        return cls("option", texts, lambda key: f"--{key.replace('_', '-')}")

    @classmethod
    def environment(cls, prefix: str, environ: Mapping[str, str]) -> "SettingsSource":
        """The variables that begin with `prefix`, in upper case."""
        ours = {name: text for name, text in environ.items() if name.startswith(prefix)}
        texts = {name.removeprefix(prefix).lower() if name.isupper() else name: text for name, text in ours.items()}
        return cls("environment", texts, lambda key: key if key.startswith(prefix) else prefix + key.upper())

    @classmethod
    def config(cls, path: Path, texts: Mapping[str, str]) -> "SettingsSource":
        """What stands in the config file at `path`."""
        return cls("config", texts, lambda key: f"{key} in {path}")


def resolve(kind: type, places: Sequence[SettingsSource]) -> tuple[dict[str, Any], dict[str, SourceName]]:
    """The values of those fields of `kind` that are set somewhere, and where; the first place wins.

    Raises SettingsError for a value out of shape, for a name that is no setting, for a file that cannot be read.
    """
    known = {spec.name: spec for spec in fields(kind)}
    values: dict[str, Any] = {}
    sources: dict[str, SourceName] = dict.fromkeys(known, "default")
    for place in places:
        for key, text in sorted(place.texts.items()):
            name = key if key in known else key.removesuffix("_file")
            if name not in known:
                raise SettingsError(f"{place.spell(key)} is not a setting; there are {', '.join(known)}.")
            if name in values:
                continue
            values[name] = _read(known[name], place.spell(key), text if key == name else _contents(text))
            sources[name] = place.source if key == name else "file"
    return values, sources


def _read(spec: "Field[Any]", origin: str, text: str) -> object:
    try:
        return spec.metadata["read"](text)
    except ValueError:
        raise SettingsError(f"{origin} must be: {spec.metadata['shape']}.") from None


def _contents(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{path} cannot be read: {reason}.") from None
