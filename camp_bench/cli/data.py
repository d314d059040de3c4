"""`camp-bench data`: bring datasets in, check them, describe them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from camp_bench.cli.interrupts import STOPPED
from camp_bench.cli.options import Format, Output, Tokenizer

__all__ = ["data", "kept_for_resuming"]

T = TypeVar("T")

data = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Bring datasets in, check them, describe them.",
)


@data.command("import")
def import_(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SRC", help="SCAN's zip or folder; TSV, HDF5, LMDB or a folder of arrays of one image each."
        ),
    ],
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="The folder to make.")],
    captions: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[SPLIT=]FILE",
            help="For features alone: JSON, CSV or lines of file<TAB>caption, of the formats in docs/data.md.",
        ),
    ] = None,
    splits: Annotated[str | None, typer.Option(metavar="NAMES", help="E.g. dev,test.  [default: all]")] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="The folder in SRC, where it holds several.")
    ] = None,
    boxes: Annotated[
        int | None, typer.Option(metavar="K", help="Keep the first K boxes of each image, in the file's order.")
    ] = None,
    repeat_boxes: Annotated[
        bool, typer.Option("--repeat-boxes", help="Fill images that have fewer with their own boxes again.")
    ] = False,
    max_captions: Annotated[
        int | None, typer.Option(metavar="N", help="Keep the first N captions of each image.")
    ] = None,
    float16: Annotated[bool, typer.Option("--float16", help="Store half as many bytes.")] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out rows and captions that can't be used; source.json lists them.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Drop what an earlier attempt left.")] = False,
) -> None:
    """Make a dataset folder from published features.

    DEST appears when it is whole. What was read before an error or Ctrl-C is kept in a hidden folder beside it,
    and the same command goes on from there.
    """
    from camp_bench.cli.counting import counted
    from camp_bench.cli.output import say
    from camp_bench.data.imports.faults import Faults
    from camp_bench.data.imports.formats import import_dataset
    from camp_bench.data.imports.requests import ImportRequest

    faults = Faults(skip=skip_bad)
    with counted() as progress:
        request = ImportRequest(
            sources=sources,
            dest=dest,
            captions=captions or (),
            splits=parse_names(splits),
            dataset=dataset,
            boxes=boxes,
            repeat_boxes=repeat_boxes,
            max_captions=max_captions,
            dtype="float16" if float16 else None,
            skip_bad=skip_bad,
            restart=restart,
            progress=progress,
            faults=faults,
        )
        shapes = kept_for_resuming(dest, lambda: import_dataset(request))
    if faults.count:
        say(f"left out: {faults.count:,} faults, which {dest}/source.json lists", err=True)
    print_shapes(dest, shapes)


def parse_names(text: str | None) -> list[str] | None:
    """Return the names of a comma-separated list, None where none is given."""
    return None if text is None else [name.strip() for name in text.split(",")]


def print_shapes(dest: Path, shapes: dict[str, tuple[int, int, int]]) -> None:
    """Print what a new dataset folder holds."""
    from camp_bench.cli.output import say

    for split, (n_images, regions, size) in shapes.items():
        say(f"{split}: {n_images:,} image{'s' * (n_images > 1)}, {regions} regions of {size:,} numbers each")
    say(f"{dest} is ready; check it with: camp-bench data verify {dest}")


def kept_for_resuming(dest: Path, work: Callable[[], T]) -> T:
    """Do the work; where it stops before its end, say what is kept for the next attempt."""
    from camp_bench.cli.output import say
    from camp_bench.data.folder.staging import partial_folder

    try:
        return work()
    except KeyboardInterrupt:
        raise typer.Exit(STOPPED) from None
    finally:
        if (partial := partial_folder(dest)).exists():
            say(f"what is done is kept in {partial}; the same command goes on from there", err=True)


@data.command()
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A dataset folder.")],
    tokenizer: Tokenizer = "treebank",
) -> None:
    """Check a dataset folder and list all that is wrong with it.

    Shapes, dtypes, NaN, counts, encodings, duplicate captions and images, and images that two splits share by id
    or by content. Exit code 2 where there are errors; warnings alone give 0.
    """
    from camp_bench.cli.counting import counted
    from camp_bench.cli.output import say
    from camp_bench.data.folder.verify import verify_folder
    from camp_bench.data.tokenizers import find_tokenizer

    with counted() as progress:
        problems = list(verify_folder(folder, progress, find_tokenizer(tokenizer)))
    for problem in problems:
        say(str(problem))
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    say(f"{folder}: {errors or 'no'} error{'s' * (errors != 1)}, {warnings or 'no'} warning{'s' * (warnings != 1)}")
    if errors:
        raise typer.Exit(2)


@data.command()
def info(
    source: Annotated[str, typer.Argument(metavar="DATA", help="A dataset folder, or 'toy'.")],
    form: Format = None,
    output: Output = None,
    tokenizer: Tokenizer = "treebank",
) -> None:
    """Describe a dataset: sizes, lengths of captions, vocabulary."""
    from camp_bench.cli.output import Show
    from camp_bench.data import open_dataset
    from camp_bench.data.folder.summary import summarize
    from camp_bench.data.tokenizers import find_tokenizer
    from camp_bench.report.dataset import dataset_document

    show = Show(form, output)
    show(dataset_document(source, summarize(open_dataset(source, ()), find_tokenizer(tokenizer))))
