"""`camp-bench add`: a record of any other system, from the scores or the vectors that it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from camp_bench.cli.options import Format, MinGrade, Output, Protocol, Relevance, SplitName

__all__ = ["add"]


def add(
    name: Annotated[str, typer.Option(metavar="NAME", help="What to call the system.")],
    data: Annotated[str, typer.Option(metavar="DATA", help="'toy', or a folder in SCAN's layout.")],
    scores: Annotated[
        Path | None, typer.Option(metavar="FILE", help="(images, captions), higher is better: .npy, .npz, .pt, ...")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A vector an image: .npy, .npz, .pt, .safetensors, .parquet.")
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A vector a caption, of the same kinds.")
    ] = None,
    scores_i2t: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Scores of images looking for captions, with --scores-t2i.")
    ] = None,
    scores_t2i: Annotated[
        Path | None, typer.Option(metavar="FILE", help="(captions, images): of captions looking for images.")
    ] = None,
    run_i2t: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Top lists of images: TREC's lines or ranx's JSON.")
    ] = None,
    run_t2i: Annotated[Path | None, typer.Option(metavar="FILE", help="Top lists of captions.")] = None,
    lower_is_better: Annotated[bool, typer.Option("--lower-is-better", help="The scores are distances.")] = False,
    measure: Annotated[str, typer.Option(metavar="NAME", help="Between vectors: cosine or dot.")] = "cosine",
    split: SplitName = "test",
    protocol: Protocol = "full",
    relevance: Relevance = None,
    min_grade: MinGrade = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of its training, if you compare several.")] = 0,
    transductive: Annotated[
        bool, typer.Option("--transductive", help="Say so if it used other test queries, as inverted softmax does.")
    ] = False,
    memory_budget: Annotated[str, typer.Option(metavar="SIZE", help="Of ranking, e.g. 512MB.")] = "1GB",
    results: Annotated[str, typer.Option(metavar="DIR", help="Where the record goes.")] = "results",
    form: Format = None,
    output: Output = None,
) -> None:
    """Make a record of any other system, so that it stands in the same tables.

    Rows and columns are in the order of the split's images and captions. DATA needs no features for this: captions
    do, with an index where they aren't five an image. Of a file with several arrays, FILE:NAME names one.
    """
    from camp_bench.machine.process import prepare_process

    prepare_process()
    from camp_bench.cli.output import Show, say
    from camp_bench.cli.progress import make_reporter
    from camp_bench.cli.results import command_line, describe_relevance
    from camp_bench.config import check_seeds
    from camp_bench.errors import ConfigError
    from camp_bench.report.results import results_document
    from camp_bench.runs.add import ExternalSource, add_external

    show = Show(form, output)
    check_seeds((seed,))
    if measure not in ("cosine", "dot"):
        raise ConfigError(f"--measure: got '{measure}', expected cosine or dot")
    source = ExternalSource(
        name=name,
        scores=scores,
        images=images,
        captions=captions,
        scores_i2t=scores_i2t,
        scores_t2i=scores_t2i,
        run_i2t=run_i2t,
        run_t2i=run_t2i,
        lower_is_better=lower_is_better,
        measure="dot" if measure == "dot" else "cosine",
        transductive=transductive,
        seed=seed,
    )
    with make_reporter() as reporter:
        finished = add_external(
            source,
            data,
            results,
            reporter,
            split=split,
            protocol=protocol,
            memory_budget=memory_budget,
            relevance=relevance,
            min_grade=min_grade,
            command=command_line(),
        )
    show(results_document([finished], split))
    if (facts := finished[1].evaluation(split).relevance) is not None:
        say(*describe_relevance(facts).split("\n"))
