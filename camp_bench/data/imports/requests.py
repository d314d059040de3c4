"""What is asked of an import, whichever format the sources are of, and what all formats share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from camp_bench.data.folder.staging import Progress, file_identity
from camp_bench.data.imports.caption_files import parse_caption_files, read_caption_files, with_lists
from camp_bench.data.imports.captions import CaptionedImage, group_by_split
from camp_bench.data.imports.faults import Faults
from camp_bench.data.imports.rows import RowsRequest
from camp_bench.errors import ConfigError

__all__ = ["ImportRequest", "read_captions_by_split"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """A folder to make at `dest` from sources of one format.

    captions: `FILE` or `SPLIT=FILE`, for features without. splits: which to take, None for all. dataset: the folder in
    a source that holds several. boxes, repeat_boxes: see `rows`. max_captions: of each image. dtype: None for the
    source's own. skip_bad: leave out rows and captions that can't be used.
    """

    sources: Sequence[Path]
    dest: Path
    captions: Sequence[str] = ()
    splits: Sequence[str] | None = None
    dataset: str | None = None
    boxes: int | None = None
    repeat_boxes: bool = False
    max_captions: int | None = None
    dtype: str | None = None
    skip_bad: bool = False
    restart: bool = False
    progress: Progress
    faults: Faults = field(default_factory=Faults)

    def for_rows(self) -> RowsRequest:
        """Return the request for a source with one entry an image, its captions read.

        Raises ConfigError without captions or with an option that means nothing for such a source.
        """
        source = self.sources[0]
        self.refuse_options("--dataset", self.dataset)
        if not self.captions:
            raise ConfigError(
                f"{source}: has features alone; name the file with captions and splits: --captions dataset_coco.json"
            )
        plan, images = read_captions_by_split(self.captions, self.splits, self.max_captions, self.faults)
        return RowsRequest(
            dest=self.dest,
            images=images,
            captions_plan=plan,
            boxes=self.boxes,
            repeat_boxes=self.repeat_boxes,
            dtype=self.dtype or "float32",
            restart=self.restart,
            progress=self.progress,
            faults=self.faults,
        )

    def refuse_options(self, *options: object) -> None:
        """Raise ConfigError where an option is given that means nothing here. options: name, value, name, value, ..."""
        for name, value in zip(options[::2], options[1::2], strict=True):
            if value is not None and value != () and value != [] and value is not False:
                raise ConfigError(f"{name}: means nothing for {self.sources[0]}; leave it out")


def read_captions_by_split(
    captions: Sequence[str],
    splits: Sequence[str] | None,
    max_captions: int | None,
    faults: Faults | None = None,
) -> tuple[dict[str, str], dict[str, list[CaptionedImage]]]:
    """Return what identifies the caption files and choices, and the images of each split.

    captions: `FILE` or `SPLIT=FILE`. Raises DataError where they can't be read and ConfigError for a wrong option.
    """
    files = with_lists(parse_caption_files(captions))
    images = group_by_split(read_caption_files(files, faults), splits, max_captions)
    plan = {f"captions {split or ''}".strip() + f" {file}": file_identity(file) for split, file in files}
    return plan | {"splits": ",".join(images), "max_captions": str(max_captions)}, images
