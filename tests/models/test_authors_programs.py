"""Checkpoints that the authors' own programs saved, against the scores, recalls, losses and gradients that they print.

The folder is looked for where CAMP_BENCH_GOLDEN says, else in `../shared` beside the checkout.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from camp_bench.data import open_folder
from camp_bench.data.batches import pad_tokens
from camp_bench.data.corpus import TokenizedSplit
from camp_bench.data.tokenizers import tokenize
from camp_bench.evaluation.evaluate import Asked, evaluate
from camp_bench.models.losses import same_image
from camp_bench.runs.checkpoint import CheckpointSource, open_checkpoint
from camp_bench.runs.saved import FinishedRun

HOME = Path(os.environ.get("CAMP_BENCH_GOLDEN") or Path(__file__).parents[3] / "shared" / "golden")
FIGURES = HOME / "golden.json"
pytestmark = pytest.mark.skipif(
    not FIGURES.is_file(),
    reason=f"the authors' own programs' figures are not in {HOME}; CAMP_BENCH_GOLDEN says where they are",
)
ENTRIES: dict[str, Any] = json.loads(FIGURES.read_text()) if FIGURES.is_file() else {}
NAMES = [name for name, entry in ENTRIES.items() if "checkpoint" in entry]

PARTS = {"img_enc": "image_encoder", "txt_enc": "caption_encoder"}
RENAMED = {
    "image_encoder.fc.weight_g": "image_encoder.parametrizations.weight.original0",
    "image_encoder.fc.weight_v": "image_encoder.parametrizations.weight.original1",
    "caption_encoder.embed.weight": "caption_encoder.words.weight",
}
SCORER = {
    "img_key_fc": "key_image",
    "txt_key_fc": "key_text",
    "img_query_fc": "query_image",
    "txt_query_fc": "query_text",
    "weighted_txt_key_fc": "second_key_image",
    "weighted_txt_query_fc": "second_query_image",
    "weighted_img_key_fc": "second_key_text",
    "weighted_img_query_fc": "second_query_text",
    "fc_1.0": "fuse_image",
    "fc_2.0": "fuse_text",
    "fc_out.0": "hidden",
    "fc_out.3": "out",
}
for side, number in (("image", 1), ("text", 2)):
    for name in (f"reduce_layer_{number}", f"final_reduce_{number}"):
        SCORER |= {f"{name}.linear.0": f"pool_{side}", f"{name}.linear.2": f"heads_{side}"}


def our_name(theirs: str) -> str:
    """Return what a parameter of theirs is called here."""
    part, _, rest = theirs.replace(".module.", ".").partition(".")
    if part == "sim":
        layer, _, kind = rest.rpartition(".")
        return f"{SCORER[layer]}.{kind}"
    name = f"{PARTS[part]}.{rest}"
    return RENAMED.get(name) or name.replace(".fc.", ".").replace(".rnn.", ".recurrent.")


def opened(name: str, checkpoint: str = "", vocabulary: str = "tiny_precomp_vocab.json") -> FinishedRun:
    file = HOME / (checkpoint or ENTRIES[name]["checkpoint"])
    return open_checkpoint(CheckpointSource(file, HOME / "vocab" / vocabulary))


class Material:
    """The test split of an entry, and its captions as the model takes them."""

    def __init__(self, entry: dict[str, Any], run: FinishedRun) -> None:
        self.split = open_folder(HOME / entry["data"] / "tiny_precomp").split(entry["split"])
        longest = run.record.config.settings.max_words
        self.token_ids = [run.vocabulary.encode(tokenize(text), max_tokens=longest) for text in self.split.captions]
        self.images = torch.from_numpy(self.split.gather(np.arange(self.split.n_images)))


@pytest.mark.parametrize("name", NAMES)
def test_scores_and_recalls(name: str) -> None:
    entry, run = ENTRIES[name], opened(name)
    material, model = Material(entry, run), run.model.eval()
    tokens, lengths = pad_tokens(material.token_ids)
    with torch.no_grad():
        scores = model(material.images, tokens, lengths)
        encoded = model.encode_images(material.images), model.encode_captions(tokens, lengths)
        plain = model.score_plain(*encoded, lengths)
    expected = torch.from_numpy(np.load(HOME / entry["scores"])).float()
    for found in (scores, plain):
        matching = found.sigmoid() if entry["options"].get("measure", "").startswith("gate") else found
        torch.testing.assert_close(matching, expected, rtol=0, atol=1e-5)
    items = TokenizedSplit(material.split, material.token_ids)
    metrics = evaluate(model, items, Asked(device=torch.device("cpu"))).metrics
    for way in ("i2t", "t2i"):
        for k in (1, 5, 10):
            assert metrics[f"{way}.R@{k}"] == pytest.approx(entry[way][f"r{k}"], abs=1e-9)


@pytest.mark.parametrize("vocabulary", ["tiny_precomp_vocab.pkl", "tiny_precomp_vocab.py3.pkl"])
def test_files_of_python_2_and_torch_0_3_hold_the_same(vocabulary: str) -> None:
    new = opened("vsepp_cosine")
    old = opened("vsepp_cosine", "checkpoints/vsepp_cosine.py2-torch0.3-cuda.pth.tar", vocabulary)
    assert old.vocabulary.words == new.vocabulary.words
    assert old.record.config == new.record.config
    for name, weight in new.model.state_dict().items():
        assert torch.equal(old.model.state_dict()[name], weight)


@pytest.mark.parametrize("name", NAMES)
def test_loss_and_gradients_of_a_batch(name: str) -> None:
    entry, run = ENTRIES[name], opened(name)
    material, model = Material(entry, run), run.model.train()
    captions = entry["batch"]["captions"]
    images = material.split.image_of[captions]
    tokens, lengths = pad_tokens([material.token_ids[caption] for caption in captions])
    scores = model(material.images[images], tokens, lengths)
    same = same_image(torch.from_numpy(np.array(images)))
    hardest = bool(entry["options"]["max_violation"])
    loss = model.loss(scores, same, hardest=hardest)
    assert float(loss.detach()) == pytest.approx(entry["batch"]["loss"], abs=1e-5)
    loss.backward()
    ours = {key: weight.grad for key, weight in model.named_parameters()}
    seen = set()
    for theirs, expected in entry["batch"]["grad_norms"].items():
        if our_name(theirs) not in ours:
            assert theirs.endswith(".linear.2.bias")  # of a softmax over places, which doesn't see it
            assert expected < 1e-6
            continue
        gradient = ours[our_name(theirs)]
        assert gradient is not None
        seen.add(our_name(theirs))
        assert float(gradient.norm()) == pytest.approx(expected, rel=1e-4, abs=1e-6), theirs
    assert seen == ours.keys()
