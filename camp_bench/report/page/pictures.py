"""Pictures of a dataset, small enough to stand in a page: of `images/` in its folder, drawn for toy data."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image, ImageOps

from camp_bench.data.toy.dataset import draw_pictures, parse_toy
from camp_bench.errors import ConfigError
from camp_bench.report.page.scenes import scene_svg

__all__ = ["Pictures"]

SIDE = 144
LARGEST = 30_000_000
"""Pixels: more is no photograph, and would take memory."""


class Pictures:
    """Pictures as data URIs, by image id; nothing where there is no such picture."""

    def __init__(self, source: str, split: str) -> None:
        self._folder = Path(source) / "images"
        self._known: dict[str, str] = _drawn(source, split) if source.partition(":")[0] == "toy" else {}

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


def _drawn(source: str, split: str) -> dict[str, str]:
    """Return a drawing of each scene of a split of toy data, by its id."""
    try:
        scenes = [scene for scene, _ in draw_pictures(parse_toy(source), split)]
    except (ConfigError, ValueError):  # another split than toy data have
        return {}
    texts = {f"toy-{split}-{number:06d}": scene_svg(scene) for number, scene in enumerate(scenes)}
    return {
        name: f"data:image/svg+xml;base64,{base64.b64encode(text.encode()).decode()}" for name, text in texts.items()
    }
