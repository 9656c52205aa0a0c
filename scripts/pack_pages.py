"""Compresses the pages' files with Brotli when the package is built, installed as editable too.

They are named by a hash of their content, so one that is no longer current is never served.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import brotli
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PackPages(BuildHookInterface):  # type: ignore[type-arg]
    """The build hook that pyproject.toml names."""

    PLUGIN_NAME = "custom"

    def initialize(self, _version: str, _build_data: dict[str, Any]) -> None:
        """Before anything is put into the wheel."""
        source = Path(self.root, "src")
        sys.path.insert(0, str(source))
        from messaging_api.web.pages.assets import assets  # noqa: PLC0415 can be found only now

        packed = source / "messaging_api" / "web" / "pages" / "packed"
        shutil.rmtree(packed, ignore_errors=True)
        packed.mkdir()
        for name, content in assets().values():
            (packed / f"{name}.br").write_bytes(brotli.compress(content, quality=11))
