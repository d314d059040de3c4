"""What a model looks at in a few pairs: attention, gates and pooling weights of chosen captions, kept for a report."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from camp_bench.data.batches import pad_tokens
from camp_bench.data.corpus import TokenizedSplit
from camp_bench.data.vocabulary import Vocabulary
from camp_bench.models.base import PairModel
from camp_bench.ranking.tiles import DirectionRanks

__all__ = ["example_arrays"]


def example_arrays(
    model: PairModel,
    whole: TokenizedSplit,
    vocabulary: Vocabulary,
    t2i: DirectionRanks,
    wanted: int,
    device: torch.device,
) -> dict[str, npt.NDArray[Any]]:
    """Return the attention of `wanted` captions, spread evenly over the split, with two images each.

    The images are the caption's own and the best ranked of the others. By name: `captions`, `own_images` and
    `other_images`, all (examples,) int64; and for example k `k/words`, its tokens as the model knows them, and under
    `k/own/` and `k/other/` what `PairModel.attend` tells, float32. t2i: ranks of the split's captions.
    """
    split = whole.split
    captions = np.unique(np.arange(wanted) * split.n_captions // wanted)
    own = split.image_of[captions]
    ranked = t2i.top_ids[captions]
    others = np.array(
        [next((i for i in row if i != mine), mine) for row, mine in zip(ranked, own, strict=True)], dtype=np.int64
    )
    arrays: dict[str, npt.NDArray[Any]] = {"captions": captions, "own_images": own, "other_images": others}
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for k, caption in enumerate(captions):
            ids = whole.token_ids[caption]
            arrays[f"{k}/words"] = np.array([vocabulary.words[i] for i in ids], dtype=np.str_)
            tokens, lengths = pad_tokens([ids])
            words = model.encode_captions(tokens.to(device), lengths)[0]
            for name, image in (("own", own[k]), ("other", others[k])):
                features = torch.from_numpy(split.gather(np.array([image]))).to(device)
                found = model.attend(model.encode_images(features)[0], words)
                arrays |= {f"{k}/{name}/{key}": value.float().cpu().numpy() for key, value in found.items()}
    model.train(was_training)
    return arrays
