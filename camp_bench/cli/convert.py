"""`camp-bench convert`: a checkpoint of the authors' programs as a run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["convert"]


def convert(
    checkpoint: Annotated[Path, typer.Argument(metavar="FILE", help="A .pth.tar of VSE++, SCAN or CAMP.")],
    vocab: Annotated[Path, typer.Option("--vocab", metavar="FILE", help="Its vocabulary, .json or .pkl.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to make.")],
) -> None:
    """Convert a checkpoint of the authors' programs to safetensors and JSON.

    Nothing that the files hold is run. The folder is that of a finished run: `camp-bench evaluate DIR --data ...`.
    """
    from camp_bench.cli.output import say
    from camp_bench.cli.results import command_line
    from camp_bench.runs.checkpoint import CheckpointSource, convert_checkpoint

    record = convert_checkpoint(CheckpointSource(checkpoint, vocab), output, command_line())
    assert record.training is not None  # a checkpoint is of a model and words of ours
    assert record.vocabulary is not None
    words = [f"{record.training.parameters:,} weights", f"{record.vocabulary.size:,} words"]
    if record.training.best_epochs:
        words.append(f"saved at epoch {record.training.best_epochs[0]}")
    say(f"{output}: {record.config.model}, {', '.join(words)}")
