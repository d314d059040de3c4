"""The weights of CAMP's scorer, the third state dict of its checkpoints, by the names of our released measures.

Layers are known by the names that the released program gives them: `img_key_fc`, `txt_query_fc` and the like project
regions and words, `weighted_txt_key_fc` and the like the messages made of them; `fc_1` fuses on the image's side,
`fc_2` on the caption's, and `fc_out` scores. The layers that pool are known by their shapes, D x D and then 4 x D, the
image's first. A checkpoint with other names is refused.
"""

from __future__ import annotations

import re
from typing import Final

from torch import Tensor

from camp_bench.checkpoints.contents import StateDict
from camp_bench.errors import CheckpointError
from camp_bench.models.camp_released.model import HEADS

__all__ = ["MEASURES", "scorer_fusion", "scorer_weights"]

MEASURES: Final = {name: name for name in ("gate_fusion_new", "gate_fusion", "cross_attention_new", "cross_attention")}
KEYS: Final = {"key_image": "img_key_fc", "key_text": "txt_key_fc"}
NEW: Final = {
    "query_image": "img_query_fc",
    "query_text": "txt_query_fc",
    "second_key_image": "weighted_txt_key_fc",
    "second_query_image": "weighted_txt_query_fc",
    "second_key_text": "weighted_img_key_fc",
    "second_query_text": "weighted_img_query_fc",
}
"""What the `_new` measures have beside their keys. A message to the image's side is made of words."""
FUSED: Final = {"fuse_image": "fc_1", "fuse_text": "fc_2"}


def scorer_fusion(part: StateDict, dim: int) -> str:
    """Return how the checkpoint fuses, told by the width of its fusing layer."""
    layers = _numbered(part, "fc_1")
    return "sum" if layers and part.shape(f"{layers[0]}.weight") == (dim, dim) else "concat"


def scorer_weights(part: StateDict, measure: str, dim: int) -> dict[str, Tensor]:
    """Return every weight of the scorer of that measure; CheckpointError where one is missing or of another shape."""
    new, gated = measure.endswith("_new"), measure.startswith("gate")
    weights = {
        f"{ours}.weight": part.take(f"{theirs}.weight", dim, dim)
        for ours, theirs in (KEYS | (NEW if new else {})).items()
    }
    if gated:
        width = dim if scorer_fusion(part, dim) == "sum" else 2 * dim  # of the pooled vectors together as well
        for ours, theirs in FUSED.items():
            (layer,) = _layers(part, theirs, 1)
            weights[f"{ours}.weight"] = part.take(f"{layer}.weight", dim, width)
            if not new:
                weights[f"{ours}.bias"] = part.take(f"{layer}.bias", dim)
        hidden, out = _layers(part, "fc_out", 2)
        weights["hidden.weight"] = part.take(f"{hidden}.weight", dim, width)
        weights["hidden.bias"] = part.take(f"{hidden}.bias", dim)
        weights["out.weight"] = part.take(f"{out}.weight", 1, dim)
        weights["out.bias"] = part.take(f"{out}.bias", 1)
    return weights if new and not gated else weights | _pooling(part, dim)


def _pooling(part: StateDict, dim: int) -> dict[str, Tensor]:
    """Return the layers of the attention that pools, one for each side, from whatever is left."""
    wide, heads = (
        [name.removesuffix(".weight") for name in part.left if part.shape(name) == (rows, dim)] for rows in (dim, HEADS)
    )
    if len(wide) != 2 or len(heads) != 2:
        raise CheckpointError(
            f"{part.where}: {len(wide)} layers of {dim} x {dim} and {len(heads)} of {HEADS} x {dim} to pool with; "
            f"expected two of each, an image's and a caption's"
        )
    weights = {}
    for side, hidden, head in zip(("image", "text"), wide, heads, strict=True):
        weights[f"pool_{side}.weight"] = part.take(f"{hidden}.weight", dim, dim)
        weights[f"pool_{side}.bias"] = part.take(f"{hidden}.bias", dim)
        weights[f"heads_{side}.weight"] = part.take(f"{head}.weight", HEADS, dim)
        if f"{head}.bias" in part.names:
            part.take(f"{head}.bias", HEADS)  # the same for every place, which a softmax doesn't see
    return weights


def _layers(part: StateDict, name: str, count: int) -> list[str]:
    found = _numbered(part, name)
    if len(found) != count:
        raise CheckpointError(f"{part.where} has {len(found)} layers {name}; expected {count}")
    return found


def _numbered(part: StateDict, name: str) -> list[str]:
    """Return the linear layers of a Sequential in order, or the one layer of that name."""
    pattern = re.compile(rf"({re.escape(name)}(?:\.(\d{{1,4}}))?)\.weight")
    found = [match for match in map(pattern.fullmatch, part.left) if match]
    return [match[1] for match in sorted(found, key=lambda match: int(match[2] or 0))]
