"""`camp-bench run`: train and evaluate models, one record a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from camp_bench.cli.interrupts import STOPPED
from camp_bench.cli.options import Format, Output

if TYPE_CHECKING:
    from camp_bench.cli.output import Show
    from camp_bench.config import Experiment
    from camp_bench.records import RunRecord
    from camp_bench.runs.checkpoint import CheckpointSource
    from camp_bench.runs.keep import Reporter

__all__ = ["run"]


def run(
    experiment: Annotated[
        Path | None, typer.Argument(metavar="EXPERIMENT.toml", help="All of the options below, from a file.")
    ] = None,
    models: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Comma-separated, e.g. camp,scan.  [default: vsepp,scan,camp]")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="'toy', or a folder in SCAN's layout.  [default: toy]")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="For test: full, f30k-1k, coco-5k or coco-1k-5fold.  [default: full]"),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Settings: quick, paper, paper-f30k or paper-coco.  [default: quick]"),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="SEEDS", help="E.g. 0,1,2 or 0-4; one run each.  [default: 0]")
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over the training captions.")] = None,
    batch_size: Annotated[int | None, typer.Option(metavar="N", help="Pairs in a training step.")] = None,
    warmup_epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Epochs on all negatives before the hardest only.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(metavar="RATE", help="At the start; decays in steps.")] = None,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps.  [default: auto]")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(metavar="KIND", help="Of training: fp32 or bf16.  [default: fp32]")
    ] = None,
    threads: Annotated[int | None, typer.Option(metavar="N", help="CPU threads.  [default: as torch chooses]")] = None,
    vocab_from: Annotated[
        str | None, typer.Option(metavar="SPLITS", help="train+dev or train.  [default: train+dev]")
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of captions: treebank, unicode or characters.  [default: treebank]"),
    ] = None,
    word_vectors: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Start words from vectors: GloVe's or word2vec's text, .npz or .npy."),
    ] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="Evaluate a checkpoint of the authors' programs, e.g. scan=FILE."),
    ] = None,
    vocab: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="The checkpoint's vocabulary, .json or .pkl.")
    ] = None,
    memory_budget: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of scoring, e.g. 512MB; tiles are cut to it.  [default: 1GB]")
    ] = None,
    adapt: Annotated[
        bool | None, typer.Option("--adapt", help="Halve the budget where memory runs out, and go on.")
    ] = None,
    save_scores: Annotated[
        bool | None, typer.Option("--save-scores", help="Keep test's score matrix beside each record.")
    ] = None,
    watch_train: Annotated[
        bool | None, typer.Option("--watch-train", help="Evaluate 200 training images beside dev.")
    ] = None,
    trust_cache: Annotated[
        bool | None, typer.Option("--trust-cache", help="Believe kept fingerprints on a disk whose inodes change.")
    ] = None,
    init_from: Annotated[
        str | None, typer.Option(metavar="RUN", help="Start from the weights of a finished run of the same family.")
    ] = None,
    results: Annotated[str | None, typer.Option(metavar="DIR", help="Where records go.  [default: results]")] = None,
    examples: Annotated[
        int | None, typer.Option(metavar="N", help="Keep attention and gates of N test captions.  [default: 0]")
    ] = None,
    allow_plugins: Annotated[
        bool, typer.Option("--allow-plugins", help="Import the plug-in models that EXPERIMENT.toml names, too.")
    ] = False,
    until: Annotated[
        str | None,
        typer.Option(metavar="decided", help="Add seeds until every model is better, worse or equal (see --rope)."),
    ] = None,
    rope: Annotated[
        float | None, typer.Option(metavar="POINTS", help="With --until: smaller differences of rsum count as none.")
    ] = None,
    max_seeds: Annotated[
        int | None, typer.Option(metavar="N", help="With --until: no more seeds than these.  [default: 20]")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="With --until: hold all others against it.  [default: all pairs]"),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do all runs anew, those that are finished too.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with all that was begun in --results, whatever it was.")
    ] = False,
    workers: Annotated[int, typer.Option(metavar="N", help="Processes side by side, which share the threads.")] = 1,
    save_every: Annotated[
        int, typer.Option(metavar="STEPS", help="Keep the state within epochs as well.  [default: after each epoch]")
    ] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved experiment as TOML and stop.")] = False,
    form: Format = None,
    output: Output = None,
) -> None:
    """Train and evaluate models, one record a run.

    The best epoch is chosen on dev; test is scored once, at the end. Settings that no option gives come from the
    preset; every one of them can be set in an experiment file, which --dry-run prints for a start. With --checkpoint,
    nothing is trained unless --models or a file says what.

    The same command again does what is missing in --results: finished runs are shown, not repeated, and one that was
    stopped goes on where it was kept.
    """
    from camp_bench.machine.process import prepare_process

    prepare_process()
    from camp_bench.cli.output import Show, write_text
    from camp_bench.cli.until import read_until

    show = Show(form, output)
    whole = {
        "models": models,
        "data": data,
        "protocol": protocol,
        "preset": preset,
        "seeds": seeds,
        "device": device,
        "precision": precision,
        "threads": threads,
        "vocab_from": vocab_from,
        "tokenizer": tokenizer,
        "word_vectors": word_vectors,
        "init_from": init_from,
        "results": results,
        "examples": examples,
        "save_scores": save_scores,
        "watch_train": watch_train,
        "trust_cache": trust_cache,
    }
    settings = {
        "epochs": epochs,
        "batch_size": batch_size,
        "warmup_epochs": warmup_epochs,
        "learning_rate": learning_rate,
        "memory_budget": memory_budget,
        "adapt": adapt,
    }
    given = {name: value for name, value in whole.items() if value is not None}
    given |= read_until(until, rope=rope, max_seeds=max_seeds, reference=reference)
    if resume:
        _refuse_beside_resume({**given, **settings, "checkpoint": checkpoint, "experiment": experiment, "fresh": fresh})
        _resume(results or "results", workers, save_every, show)
        return
    settings = {name: value for name, value in settings.items() if value is not None}
    trains = not checkpoint or models is not None or experiment is not None
    if not trains:
        _refuse_training_options([*given, *settings, *(["dry_run"] if dry_run else [])])
    asked = _merge(experiment, given, settings)
    if models is not None or allow_plugins:
        _import_plugins(asked)
    if experiment is not None:
        _name_faults_of_file(asked, experiment)
    if dry_run:
        from camp_bench.config import dump_experiment
        from camp_bench.runs.plan import resolved_experiment

        write_text(dump_experiment(resolved_experiment(asked)), output)
        return
    how = {"fresh": fresh, "workers": workers, "save_every": save_every}
    sources = _sources(checkpoint or [], vocab or [])
    _execute(asked, sources, show, trains=trains, own_data=not trains and data is None, how=how)


def _merge(path: Path | None, whole: dict[str, Any], settings: dict[str, Any]) -> Experiment:
    """Return the experiment of the file, or the default one, with the options of the command line over it."""
    from camp_bench.config import Experiment, override_experiment, parse_models, parse_seeds, read_experiment

    base = Experiment() if path is None else read_experiment(path)
    if "models" in whole:
        whole["models"] = parse_models(whole["models"])
    if "seeds" in whole:
        whole["seeds"] = parse_seeds(whole["seeds"])
    return override_experiment(base, whole, settings)


def _name_faults_of_file(asked: Experiment, path: Path) -> None:
    """Refuse here, naming the file, what no run can be made of, where it is the file that says so and no option."""
    from camp_bench.config import read_experiment
    from camp_bench.errors import ConfigError
    from camp_bench.runs.plan import plan_runs

    try:
        plan_runs(asked)
    except ConfigError as error:
        try:
            plan_runs(read_experiment(path))
        except ConfigError as own:
            if str(own) == str(error):
                raise ConfigError(f"{path}: {error}") from None
        raise


OF_EVALUATION = (
    "data",
    "protocol",
    "device",
    "threads",
    "results",
    "examples",
    "memory_budget",
    "adapt",
    "save_scores",
)
"""The options that a checkpoint alone has a use for."""


def _refuse_training_options(given: Iterable[str]) -> None:
    """Raise ConfigError where an option is given that evaluating a checkpoint has no use for."""
    from camp_bench.errors import ConfigError

    for name in given:
        if name not in OF_EVALUATION:
            option = name.replace("_", "-")
            raise ConfigError(f"--{option}: of no use with --checkpoint alone; leave it out, or train --models as well")


def _sources(checkpoints: Sequence[str], vocabularies: Sequence[str]) -> tuple[CheckpointSource, ...]:
    if not checkpoints and not vocabularies:
        return ()
    from camp_bench.runs.checkpoint import parse_checkpoints

    return parse_checkpoints(checkpoints, vocabularies)


def _import_plugins(experiment: Experiment) -> None:
    from camp_bench.models.plugins import is_plugin, load_plugin

    for name in experiment.models:
        if is_plugin(name):
            load_plugin(name)


def _refuse_beside_resume(given: dict[str, Any]) -> None:
    """Raise ConfigError where --resume stands beside what its journals say already."""
    from camp_bench.errors import ConfigError

    for name, value in given.items():
        if value not in (None, False) and name != "results":
            raise ConfigError(
                f"--resume: goes on with what was begun, as it was asked for; leave out {name.replace('_', '-')}, or "
                "leave out --resume and give the same command again"
            )


def _resume(results: str, workers: int, save_every: int, show: Show) -> None:
    from camp_bench.config import user_path
    from camp_bench.runs.experiment import resume_experiments

    with _collecting(show, results) as (reporter, finished):
        for run in resume_experiments(user_path(results), reporter, workers=workers, save_every=save_every):
            finished.append(run)


def _execute(
    experiment: Experiment,
    sources: Sequence[CheckpointSource],
    show: Show,
    *,
    trains: bool,
    own_data: bool,
    how: dict[str, Any],
) -> None:
    """Evaluate checkpoints, on the data that they name themselves where `own_data`, then train what is asked for."""
    from camp_bench.cli.results import command_line
    from camp_bench.cli.until import run_until_decided
    from camp_bench.runs.experiment import run_experiment

    with _collecting(show, experiment.results) as (reporter, finished):
        if sources:
            from camp_bench.runs.checkpoint import evaluate_checkpoints
            from camp_bench.runs.plan import plan_runs

            if trains:
                plan_runs(experiment)  # what is wrong with it shows before the checkpoints are scored
            data = None if own_data else experiment.data
            for run in evaluate_checkpoints(experiment, sources, reporter, data=data, command=command_line()):
                finished.append(run)
        if trains:

            def run_seeds(asked: Experiment) -> Iterator[tuple[Path, RunRecord]]:
                return run_experiment(asked, reporter, command_line(), **how)

            until = experiment.until
            runs = (
                run_until_decided(experiment, until, reporter, run_seeds, fresh=how["fresh"])
                if until
                else run_seeds(experiment)
            )
            for run in runs:
                finished.append(run)


@contextmanager
def _collecting(show: Show, results: str) -> Iterator[tuple[Reporter, list[tuple[Path, RunRecord]]]]:
    """Yield a reporter and a list for the runs, which are shown at the end, however that comes."""
    from camp_bench.cli.progress import make_reporter
    from camp_bench.report.results import results_document

    finished: list[tuple[Path, RunRecord]] = []
    try:
        with make_reporter() as reporter:
            yield reporter, finished
    except KeyboardInterrupt:
        typer.echo(f"stopped: {len(finished)} run(s) finished; the same command goes on with the rest", err=True)
        raise typer.Exit(STOPPED) from None
    finally:
        with suppress(BrokenPipeError):  # which would hide the error that ended the runs
            if finished:
                show(results_document(finished, "test"))
    if finished and show.form == "table" and show.output is None:
        _close([folder for folder, _ in finished], results, show)


def _close(folders: Sequence[Path], results: str, show: Show) -> None:
    """Say what the runs of this call come to, and what can be done with them next."""
    from camp_bench.errors import CampBenchError
    from camp_bench.report import Document
    from camp_bench.report.results import closing_section

    with suppress(CampBenchError):  # runs that can't be compared, by a plug-in of any kind, are finished all the same
        show(Document("", (closing_section(folders, results),), None))
