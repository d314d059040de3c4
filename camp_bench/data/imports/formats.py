"""Makes a dataset folder from what people already have, whichever of the known formats it is in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from camp_bench.data.folder.staging import require_new
from camp_bench.data.imports import array_folder, hdf5, lmdb_store, region_tsv, scan_release
from camp_bench.data.imports.looks import looks_like
from camp_bench.data.imports.requests import ImportRequest
from camp_bench.errors import DataError

__all__ = ["IMPORTERS", "import_dataset"]


class Importer(NamedTuple):
    """A format: whether sources are of it, and what makes a folder of them."""

    claims: Callable[[Sequence[Path]], bool]
    read: Callable[[ImportRequest], dict[str, tuple[int, int, int]]]


IMPORTERS = tuple(
    Importer(module.claims, module.read) for module in (scan_release, lmdb_store, hdf5, array_folder, region_tsv)
)
"""The first that claims the sources reads them."""
EXPECTED = "one zip or folder in SCAN's layout, or one or more bottom-up-attention TSV files or others of docs/data.md"


def import_dataset(request: ImportRequest) -> dict[str, tuple[int, int, int]]:
    """Import the sources, and return the shapes (images, regions, feature size) of the splits.

    `dest` appears when it is whole; what was read before an error is kept beside it, and the same request goes on from
    there. Raises DataError where a source can't be used or is of no known format, ConfigError where the options don't
    fit it, OutputError where `dest` is there already or the disk is full.
    """
    require_new(request.dest)
    for source in request.sources:
        if not source.exists():
            raise DataError(f"{source}: no such file or folder; expected SCAN's zip or folder, or a TSV file")
    for importer in IMPORTERS:
        if importer.claims(request.sources):
            return importer.read(request)
    for source in request.sources:
        kind = looks_like(source) if source.is_file() else "a folder"
        if kind is not None:
            hint = "; captions in JSON go to --captions" if kind.startswith("JSON") else ""
            raise DataError(f"{source}: expected {EXPECTED}; this looks like {kind}{hint}")
    raise DataError(f"{request.sources[0]}: expected {EXPECTED}, all sources of one format")
