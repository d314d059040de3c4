"""`camp-bench run --until decided`: seeds are added, look by look, until something is decided."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camp_bench.errors import ConfigError

if TYPE_CHECKING:
    from camp_bench.config import Experiment, Until
    from camp_bench.records import RunRecord
    from camp_bench.runs.keep import Reporter

__all__ = ["read_until", "run_until_decided"]

Run = tuple["Path", "RunRecord"]


def read_until(kind: str | None, **given: Any) -> dict[str, Any]:
    """Return what options say of [until], by field; ConfigError where they make no sense together."""
    from camp_bench.config import Until

    values = {name: value for name, value in given.items() if value is not None}
    if kind is None:
        if values:
            name = next(iter(values)).replace("_", "-")
            raise ConfigError(f"--{name}: says until when seeds are added; expected it with --until decided")
        return {}
    if kind != "decided":
        raise ConfigError(f"--until: got '{kind}', expected decided")
    if "rope" not in values:
        raise ConfigError(
            "--until decided: needs to know which differences count as none; expected --rope POINTS of rsum, such as "
            "--rope 5"
        )
    from camp_bench.config.converting import convert

    return {"until": convert(values, Until)}


def run_until_decided(
    experiment: Experiment,
    until: Until,
    reporter: Reporter,
    run_seeds: Callable[[Experiment], Iterator[Run]],
    *,
    fresh: bool = False,
) -> Iterator[Run]:
    """Yield the runs of an experiment, whose seeds go on from its first one, until a look decides or max_seeds are run.

    run_seeds: does what is missing of an experiment and yields all of its runs. Raises ConfigError, before anything is
    run, where there is nothing to decide.
    """
    import msgspec

    from camp_bench.comparison.deciding import look, obstacle, told, undecided

    until = _checked(experiment, until, fresh=fresh)
    first = experiment.seeds[0]
    yielded: dict[Path, RunRecord] = {}
    for number, seeds in enumerate(until.looks, start=1):
        reporter.on_stage(f"look {number} of {len(until.looks)} at most: {seeds} seeds a model")
        asked = msgspec.structs.replace(experiment, seeds=tuple(range(first, first + seeds)), until=until)
        for folder, record in run_seeds(asked):
            if folder not in yielded:
                yielded[folder] = record
                yield folder, record
        table = look(list(yielded), until)
        reporter.on_stage(f"after {seeds} seeds: {told(table)}")
        if not (left := undecided(table)):
            reporter.on_stage(f"decided after {seeds} seeds, within {until.rope:g} points of rsum")
            return
    for pair in left:
        reporter.on_stage(f"undecided after {until.max_seeds} seeds: {obstacle(table, pair)}")


def _checked(experiment: Experiment, until: Until, *, fresh: bool) -> Until:
    """Return what to hold models against by their full names; ConfigError where there is nothing to decide."""
    import msgspec

    from camp_bench.runs.plan import plan_runs

    if fresh:
        raise ConfigError("--fresh: would do the runs of each look anew; leave it out, and name another --results")
    if len(experiment.seeds) != 1:
        got = ",".join(map(str, experiment.seeds))
        raise ConfigError(f"--seeds: got {got}, expected one beside --until, from which on it adds them itself")
    plans = plan_runs(experiment)
    if len(plans) < 2:
        raise ConfigError(f"--until decided: got one model, {plans[0].model}; expected two or more to tell apart")
    if not until.reference:
        return until
    names = {name: plan.variant.name for plan in plans for name in (plan.model, plan.variant.name)}
    return msgspec.structs.replace(until, reference=_named(names, until.reference))


def _named(names: dict[str, str], reference: str) -> str:
    from camp_bench.errors import nearest

    if reference not in names:
        shown: Sequence[str] = list(dict.fromkeys(names))
        raise ConfigError(
            f"--reference: got '{reference}', expected one of {', '.join(shown)}{nearest(reference, shown)}"
        )
    return names[reference]
