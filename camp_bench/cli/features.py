"""`camp-bench features`: a dataset folder from pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["features"]


def features(
    pictures: Annotated[Path, typer.Argument(metavar="IMAGES_DIR", help="The folder of the pictures.")],
    captions: Annotated[
        list[str],
        typer.Argument(
            metavar="[SPLIT=]CAPTIONS",
            help="Lines of file<TAB>caption<TAB>split, Karpathy's dataset_*.json or COCO's captions_*.json.",
        ),
    ],
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="The folder to make.")],
    extractor: Annotated[
        str, typer.Option(metavar="NAME", help="effnet-lite0, or module:attribute for your own.")
    ] = "effnet-lite0",
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes of one thread each.  [default: one a core]")
    ] = None,
    splits: Annotated[str | None, typer.Option(metavar="NAMES", help="E.g. dev,test.  [default: all]")] = None,
    max_captions: Annotated[
        int | None, typer.Option(metavar="N", help="Keep the first N captions of each image.")
    ] = None,
    float16: Annotated[bool, typer.Option("--float16", help="Store half as many bytes.")] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out pictures and captions that can't be used.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Drop what an earlier attempt left.")] = False,
) -> None:
    """Make a dataset folder from pictures: features of a grid of regions, by a network that needs no download.

    DEST appears when it is whole. What was extracted before an error or Ctrl-C is kept in a hidden folder beside
    it, and the same command goes on from there.
    """
    from camp_bench.cli.counting import counted
    from camp_bench.cli.data import kept_for_resuming, parse_names, print_shapes
    from camp_bench.cli.output import say
    from camp_bench.data.imports.faults import Faults
    from camp_bench.data.imports.pictures import extract_folder
    from camp_bench.data.imports.requests import read_captions_by_split

    faults = Faults(skip=skip_bad)
    plan, images = read_captions_by_split(captions, parse_names(splits), max_captions, faults)
    with counted("images") as progress:
        extracted = kept_for_resuming(
            dest,
            lambda: extract_folder(
                pictures,
                dest,
                images,
                captions_plan=plan,
                extractor=extractor,
                workers=workers,
                dtype="float16" if float16 else "float32",
                skip_bad=skip_bad,
                faults=faults,
                restart=restart,
                progress=progress,
            ),
        )
    if faults.count:
        say(f"left out: {faults.count:,} faults of captions, which {dest}/source.json lists", err=True)
    for name, reason in extracted.bad:
        say(f"left out: {name} ({reason})", err=True)
    print_shapes(dest, extracted.shapes)
