"""Pictures of a dataset, small enough to stand in a page. They are looked for in `images/` of the dataset's folder."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image, ImageOps

__all__ = ["Pictures"]

SIDE = 144
LARGEST = 30_000_000
"""Pixels: more is no photograph, and would take memory."""


class Pictures:
    """Thumbnails as data URIs, by image id; nothing where the folder has no such picture."""

    def __init__(self, source: str) -> None:
        self._folder = Path(source) / "images"
        self._known: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """Return a data URI, "" where there is no picture that can be read."""
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, name: str) -> str:
        try:
            home = self._folder.resolve(strict=True)
            path = (home / name).resolve(strict=True)
            if not path.is_relative_to(home):  # an id may hold anything
                return ""
            with Image.open(path) as picture:
                if picture.width * picture.height > LARGEST:
                    return ""
                small = ImageOps.exif_transpose(picture).convert("RGB")
                small.thumbnail((SIDE, SIDE))
                buffer = io.BytesIO()
                small.save(buffer, "JPEG", quality=72)
        except (OSError, ValueError):
            return ""
        return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
