"""Writes the table of all settings into docs/settings.md: `make settings-docs`."""

from dataclasses import fields
from pathlib import Path

from messaging_api.settings.server import ENV_PREFIX, Settings

PATH = Path(__file__).parents[1] / "docs" / "settings.md"
_BEGIN, _END = "<!-- settings -->\n", "<!-- /settings -->"


def settings_table() -> str:
    """Return the table in Markdown."""
    rows = ["| option | environment variable | default | value | meaning |", "|---|---|---|---|---|"]
    for spec in fields(Settings):
        option, meta = f"--{spec.name.replace('_', '-')}", spec.metadata
        cells = (f"`{option}`", f"`{ENV_PREFIX}{spec.name.upper()}`", meta["default"], meta["shape"], meta["meaning"])
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def with_table(document: str) -> str:
    """Return `document` with the table between its two marks replaced."""
    before, _, rest = document.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}{settings_table()}\n{_END}{after}"


if __name__ == "__main__":
    PATH.write_text(with_table(PATH.read_text(encoding="utf-8")), encoding="utf-8")
