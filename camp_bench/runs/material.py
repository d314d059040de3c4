"""What all runs of an experiment share: the data, read and checked once, and what the models start from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import torch

from camp_bench.checkpoints.vocabularies import vocabulary_beside
from camp_bench.config import Experiment, RunConfig, user_path
from camp_bench.data import open_dataset
from camp_bench.data.corpus import Corpus, TokenizedSplit
from camp_bench.data.fingerprints import Fingerprints, fingerprints
from camp_bench.data.leaks import leak_warnings, require_apart
from camp_bench.data.vocabulary import Vocabulary
from camp_bench.data.word_vectors import WordVectors, read_word_vectors
from camp_bench.errors import ConfigError
from camp_bench.evaluation.evaluate import folds_of
from camp_bench.machine.devices import explained_memory
from camp_bench.models.base import PairModel, Shape
from camp_bench.models.registry import build_model
from camp_bench.records import StartedFrom
from camp_bench.runs.keep import Reporter
from camp_bench.runs.plan import RunPlan
from camp_bench.runs.start import read_initial_weights, require_fit

__all__ = ["Material", "open_material"]

SPLITS = ("train", "dev", "test")


class Material:
    """fingerprints: of each split that is evaluated. asked: what the runs are to do and to keep.

    leaks: what splits share.
    """

    def __init__(
        self, corpus: Corpus, prints: Mapping[str, Fingerprints], asked: Experiment, leaks: tuple[str, ...] = ()
    ) -> None:
        self.corpus, self.fingerprints, self.asked, self.leaks = corpus, prints, asked, leaks
        self._initial = read_initial_weights(asked.init_from) if asked.init_from else None
        self._vectors: dict[tuple[str, int, int], WordVectors] = {}

    def vocabulary(self, plan: RunPlan) -> Vocabulary:
        """Return the words of a run."""
        return self.corpus.vocabulary(plan.config.vocab_from, plan.settings.min_count, plan.config.tokenizer)

    def splits(self, plan: RunPlan) -> dict[str, TokenizedSplit]:
        """Return every split in the words of a run."""
        words = self.vocabulary(plan)
        return {name: self.corpus.encoded(name, words, plan.settings.max_words) for name in SPLITS}

    def word_vectors(self, plan: RunPlan) -> WordVectors | None:
        """Return the vectors that the words of a run start from, None for random ones; a file is read once."""
        config: RunConfig = plan.config
        if not config.word_vectors:
            return None
        key = config.vocab_from, plan.settings.min_count, plan.settings.word_dim
        if key not in self._vectors:
            file = user_path(config.word_vectors)
            words = vocabulary_beside(file).words if file.suffix == ".npy" else ()
            self._vectors[key] = read_word_vectors(file, self.vocabulary(plan), plan.settings.word_dim, words)
        return self._vectors[key]

    def checksums(self, plan: RunPlan) -> dict[str, str]:
        """Return the checksums of what a run starts from; of vectors, also which word took which."""
        vectors, found = self.word_vectors(plan), dict[str, str]()
        if vectors is not None:
            rows = hashlib.sha256(vectors.rows.tobytes() + vectors.vectors.tobytes()).hexdigest()
            found |= {"word_vectors": vectors.sha256, "rows": rows}
        if self._initial is not None:
            found["init_from"] = self._initial.record.weights_sha256 or ""
        return found

    def build(self, plan: RunPlan) -> tuple[PairModel, StartedFrom | None]:
        """Return the model of a run as its training starts, on its device, and the run that its weights are from."""
        model = build_model(plan.variant, plan.settings, plan.options, self._shape(plan), plan.config.seed)
        if vectors := self.word_vectors(plan):
            model.start_words_from(torch.from_numpy(vectors.rows), torch.from_numpy(vectors.vectors))
        begun = None
        if self._initial is not None:
            source = self._initial.record
            begun = StartedFrom(
                run_id=source.run_id,
                model=source.config.model,
                weights_sha256=source.weights_sha256 or "",
                tensors=model.take_weights(self._initial.weights),
            )
        return model.to(torch.device(plan.config.device)), begun

    def check(self, plans: Sequence[RunPlan]) -> None:
        """Raise what is wrong with a vocabulary or with what a model starts from, before the first run."""
        for plan in plans:
            words = self.vocabulary(plan).words
            self.word_vectors(plan)
            if self._initial is not None:
                if (before := self._initial.record.config.tokenizer) != plan.config.tokenizer:
                    raise ConfigError(
                        f"init_from: {self._initial.record.run_id} splits captions by the tokenizer {before}; expected "
                        f"{plan.config.tokenizer}, as this run does; set tokenizer to {before}"
                    )
                with torch.device("meta"):
                    model = build_model(plan.variant, plan.settings, plan.options, self._shape(plan), plan.config.seed)
                require_fit(model, plan.variant.name, words, self._initial)

    def _shape(self, plan: RunPlan) -> Shape:
        size = self.corpus.splits["train"].feature_size
        return Shape(vocabulary_size=len(self.vocabulary(plan)), feature_size=size)


def open_material(experiment: Experiment, plans: Sequence[RunPlan], reporter: Reporter) -> Material:
    """Read the data of an experiment and check all that can be wrong with it; raises CampBenchError."""
    reporter.on_stage(f"reading {experiment.data}")
    with explained_memory("ask for less data"):
        corpus = Corpus(open_dataset(experiment.data, SPLITS), SPLITS)
    require_apart(corpus.splits)
    folds_of(corpus.splits["test"], experiment.protocol)  # refuses what does not fit, before any work
    prints = fingerprints(corpus.dataset, *SPLITS[1:], trust_cache=experiment.trust_cache)
    reporter.on_stage("splitting captions into words")
    for split in SPLITS:
        corpus.tokens(split, experiment.tokenizer)
    shares_images, shares_captions = leak_warnings(corpus.splits)
    if corpus.dataset.cache is None:  # toy data is made of few words, and says the same twice by design
        shares_captions = []
    for text in (*shares_images, *shares_captions):
        reporter.on_stage(f"warning: {text}")
    material = Material(corpus, prints, experiment, tuple(shares_images))
    material.check(plans)
    for vocabulary in {material.vocabulary(plan) for plan in plans}:
        for text in corpus.warnings(vocabulary):
            reporter.on_stage(f"warning: {text}")
    return material
