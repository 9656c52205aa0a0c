"""Hatch build hook: generates the contract, the page /docs and the Brotli files. Also runs for an editable install."""

import shutil
import sys
from pathlib import Path
from typing import Any

import brotli
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """The hook that pyproject.toml names."""

    PLUGIN_NAME = "custom"

    def initialize(self, _version: str, _build_data: dict[str, Any]) -> None:
        """Write `web/pages/generated/` before the files of the package are collected."""
        source = Path(self.root, "src")
        sys.path[:0] = [self.root, str(source)]
        from messaging_api.web.pages.assets import assets  # noqa: PLC0415 is on the path only now
        from scripts.api_docs import api_docs  # noqa: PLC0415
        from scripts.contract import contract_json  # noqa: PLC0415

        generated = {
            "openapi.json": contract_json(),
            "docs.html": api_docs(),
            **{f"{name}.br": brotli.compress(content, quality=11) for name, content in assets().values()},
        }
        folder = source / "messaging_api" / "web" / "pages" / "generated"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, content in generated.items():
            (folder / name).write_bytes(content)
