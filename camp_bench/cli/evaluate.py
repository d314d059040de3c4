"""`camp-bench evaluate`: a finished run on other data, another split or under another protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from camp_bench.cli.options import Device, Format, MinGrade, Output, Protocol, Relevance, SplitName

__all__ = ["evaluate"]


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="'toy' or a folder.  [default: what the run was trained on]")
    ] = None,
    split: SplitName = "test",
    protocol: Protocol = "full",
    device: Device = "auto",
    examples: Annotated[int, typer.Option(metavar="N", help="Keep attention and gates of N captions.")] = 0,
    allow_plugins: Annotated[
        bool, typer.Option("--allow-plugins", help="Import the plug-in that the run's model is, which runs its code.")
    ] = False,
    memory_budget: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of scoring, e.g. 512MB.  [default: the run's own]")
    ] = None,
    adapt: Annotated[bool, typer.Option("--adapt", help="Halve the budget where memory runs out, and go on.")] = False,
    save_scores: Annotated[
        bool, typer.Option("--save-scores", help="Keep the score matrix beside the record.")
    ] = False,
    rerank: Annotated[
        int | None, typer.Option(metavar="K", help="Score only K candidates a query, which --proposer proposes.")
    ] = None,
    proposer: Annotated[
        Path | None, typer.Option(metavar="RUN", help="The finished run of a cheap model that proposes.")
    ] = None,
    score_precision: Annotated[
        str, typer.Option(metavar="KIND", help="fp32, bf16 or fp16; the change against fp32 is measured.")
    ] = "fp32",
    relevance: Relevance = None,
    min_grade: MinGrade = None,
    trust_cache: Annotated[
        bool, typer.Option("--trust-cache", help="Believe kept fingerprints on a disk whose inodes change.")
    ] = False,
    results: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the record goes.  [default: beside the run]")
    ] = None,
    form: Format = None,
    output: Output = None,
) -> None:
    """Evaluate a finished run on other data or under another protocol.

    The run's weights and vocabulary are used as they are; the result is a record of its own that names its parent.
    """
    from camp_bench.machine.process import prepare_process

    prepare_process()
    from camp_bench.cli.output import Show, say
    from camp_bench.cli.progress import make_reporter
    from camp_bench.cli.results import (
        command_line,
        describe_cascade,
        describe_precision,
        describe_relevance,
    )
    from camp_bench.report.results import results_document
    from camp_bench.runs.evaluate_run import EvaluationRequest, evaluate_run

    show = Show(form, output)
    home = run if run.is_dir() else run.parent
    asked = EvaluationRequest(
        data=data,
        split=split,
        protocol=protocol,
        device=device,
        examples=examples,
        allow_plugins=allow_plugins,
        memory_budget=memory_budget,
        adapt=adapt,
        save_scores=save_scores,
        rerank=rerank,
        proposer=proposer,
        relevance=relevance,
        min_grade=min_grade,
        precision=score_precision,
        trust_cache=trust_cache,
    )
    with make_reporter() as reporter:
        finished = evaluate_run(run, asked, results or home.resolve().parent, reporter, command=command_line())
    show(results_document([finished], split))
    if (facts := finished[1].evaluation(split).relevance) is not None:
        say(*describe_relevance(facts).split("\n"))
    if (exact := finished[1].evaluation(split).fp32_metrics) is not None:
        say(*describe_precision(finished[1].evaluation(split), exact).split("\n"))
    if (cascade := finished[1].evaluation(split).cascade) is not None:
        say(*describe_cascade(cascade, finished[1].evaluation(split).metrics["rsum"]).split("\n"))
    assert finished[1].vocabulary is not None  # a run with weights has words
    for name, share in finished[1].vocabulary.unknown_share.items():
        say(f"{share:.1%} of the words of {name} are unknown to the run's vocabulary")
