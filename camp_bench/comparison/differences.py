"""What differs between records that stand in one table, one sentence each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from camp_bench.ranking.metrics import far_below_chance
from camp_bench.records import EvaluationRecord, RunRecord

__all__ = ["all_but_seed", "differences", "how_scored", "what_scored"]


def all_but_seed(record: RunRecord) -> bytes:
    """Return what must be equal in runs that one row stands for. The same data under another path are the same."""
    config = msgspec.structs.replace(record.config, seed=0, data="")
    return msgspec.json.encode((config, record.dataset.train_fingerprint), order="sorted")


def how_scored(record: RunRecord, evaluation: EvaluationRecord) -> str:
    """Return what else must be equal in runs of one row: features, who scored which pairs how, and from what."""
    proposer = evaluation.cascade.proposer_model if evaluation.cascade else ""
    parts = (evaluation.features_fingerprint or "", evaluation.scored_as, proposer, str(evaluation.transductive))
    return "|".join((*parts, str(record.external is not None)))


def what_scored(record: RunRecord) -> tuple[str, ...]:
    """Return what gave the scores of a run: its weights, a cascade's proposers, another system's files."""
    proposers = [item.cascade.proposer_weights_sha256 for item in record.evaluations if item.cascade]
    files = sorted(record.external.sha256.items()) if record.external else []
    return (record.weights_sha256 or "", *proposers, *(f"{what} {sha256}" for what, sha256 in files))


def differences(records: Sequence[RunRecord], split: str) -> tuple[str, ...]:
    """Return what a reader of the table has to know. split: the one whose evaluation is shown."""
    notes = []
    if len({record.evaluation(split).features_fingerprint for record in records} - {None}) > 1:
        notes.append("the image features differ between these runs")
    if len({record.dataset.train_fingerprint for record in records} - {None}) > 1:
        notes.append("the training data differ between these runs")
    if len({_dev_fingerprint(record) for record in records} - {None}) > 1:
        notes.append("the dev data, on which epochs were chosen, differ between these runs")
    if len({record.config.vocab_from for record in records}) > 1:
        notes.append("some vocabularies come from train+dev and others from train alone")
    if len({record.config.tokenizer for record in records if record.external is None}) > 1:
        notes.append("captions are split into words by different tokenizers")
    notes.extend(dict.fromkeys(f"splits share images: {text}" for record in records for text in record.dataset.leaks))
    models = Counter(key for _, key in {(all_but_seed(record), record.config.model) for record in records})
    notes.extend(f"{model} stands in {rows} rows, as its settings differ" for model, rows in models.items() if rows > 1)
    notes.extend(
        f"{record.run_id} was trained by another program ({record.checkpoint.file}): its seed and its "
        "training data are not known"
        for record in records
        if record.checkpoint is not None
    )
    notes.extend(
        f"{record.run_id} is another system, ranked by what it wrote ({', '.join(record.external.files.values())}): "
        "its features and its training are not known"
        for record in records
        if record.external is not None
    )
    for record in records:
        evaluation = record.evaluation(split)
        if record.external and far_below_chance(evaluation.metrics, evaluation.chance_rsum, evaluation.images):
            notes.append(f"{record.run_id} is far below chance: are lower scores better? (add --lower-is-better)")
        for way, count in record.external.censored.items() if record.external else ():
            queries = evaluation.images if way == "i2t" else evaluation.captions
            notes.append(
                f"{record.run_id} is known by top lists: {count:,} of {queries:,} {way} queries have their own "
                f"candidate beyond the end; their ranks count as the list is long, so MedR may be greater than shown"
            )
    notes.extend(
        f"{record.run_id} collapsed: its training ended on the plateau of a constant scorer"
        for record in records
        if record.collapsed
    )
    notes.extend(
        f"{record.run_id} is not deterministic: {record.nondeterministic_reason}"
        for record in records
        if not record.deterministic
    )
    return tuple(notes)


def _dev_fingerprint(record: RunRecord) -> str | None:
    found = [
        item.task_fingerprint + (item.features_fingerprint or "") for item in record.evaluations if item.split == "dev"
    ]
    return found[0] if found else None
