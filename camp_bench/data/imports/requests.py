"""Makes a dataset folder from what people already have, whichever of the known formats it is in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from camp_bench.data.folder.staging import Progress, file_identity, require_new
from camp_bench.data.imports.bottom_up import import_bottom_up
from camp_bench.data.imports.caption_files import parse_caption_files, read_caption_files
from camp_bench.data.imports.captions import CaptionedImage, group_by_split
from camp_bench.data.imports.scan_release import import_scan
from camp_bench.errors import ConfigError, DataError

__all__ = ["import_dataset", "read_captions_by_split"]


def import_dataset(
    sources: Sequence[Path],
    dest: Path,
    *,
    captions: Sequence[str] = (),
    splits: Sequence[str] | None = None,
    dataset: str | None = None,
    boxes: int | None = None,
    repeat_boxes: bool = False,
    max_captions: int | None = None,
    dtype: str | None = None,
    restart: bool = False,
    progress: Progress,
) -> dict[str, tuple[int, int, int]]:
    """Import SCAN's zip or folder, or one or more bottom-up-attention TSV files with captions from elsewhere.

    Returns the shapes (images, regions, feature size) of the splits. `dest` appears when it is whole; what was read
    before an error is kept beside it, and the same call goes on from there. Raises DataError where a source can't be
    used, ConfigError where the options don't fit it, OutputError where `dest` is there already or the disk is full.
    """
    require_new(dest)
    for source in sources:
        if not source.exists():
            raise DataError(f"{source}: no such file or folder; expected SCAN's zip or folder, or a TSV file")
    source, several = sources[0], len(sources) > 1
    if not several and (source.is_dir() or _is_zip(source)):
        _refuse_options(source, "--captions", captions, "--boxes", boxes, "--max-captions", max_captions)
        return import_scan(
            source, dest, splits=splits, dataset=dataset, dtype=dtype, restart=restart, progress=progress
        )
    for source in sources:
        if source.is_dir() or _is_zip(source) or source.suffix.lower() in (".json", ".npy"):
            raise DataError(
                f"{source}: expected one zip or folder in SCAN's layout, or one or more bottom-up-attention TSV files; "
                f"captions in JSON go to --captions"
            )
    _refuse_options(source, "--dataset", dataset)
    if not captions:
        raise ConfigError(
            f"{source}: has features alone; name the file with captions and splits: --captions dataset_coco.json"
        )
    plan, images = read_captions_by_split(captions, splits, max_captions)
    return import_bottom_up(
        sources,
        dest,
        images,
        captions_plan=plan,
        boxes=boxes,
        repeat_boxes=repeat_boxes,
        dtype=dtype or "float32",
        restart=restart,
        progress=progress,
    )


def read_captions_by_split(
    captions: Sequence[str], splits: Sequence[str] | None, max_captions: int | None
) -> tuple[dict[str, str], dict[str, list[CaptionedImage]]]:
    """Return what identifies the caption files and choices, and the images of each split.

    captions: `FILE` or `SPLIT=FILE`. Raises DataError where they can't be read and ConfigError for a wrong option.
    """
    files = parse_caption_files(captions)
    images = group_by_split(read_caption_files(files), splits, max_captions)
    plan = {f"captions {split or ''}".strip() + f" {file}": file_identity(file) for split, file in files}
    return plan | {"splits": ",".join(images), "max_captions": str(max_captions)}, images


def _is_zip(file: Path) -> bool:
    return file.suffix.lower() == ".zip"


def _refuse_options(source: Path, *options: object) -> None:
    """Raise ConfigError where an option is given that means nothing here. options: name, value, name, value, ..."""
    for name, value in zip(options[::2], options[1::2], strict=True):
        if value is not None and value != () and value != [] and value is not False:
            raise ConfigError(f"{name}: means nothing for {source}; leave it out")
