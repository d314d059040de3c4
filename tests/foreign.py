"""Writes files as the authors' programs did, Python 2 and torch 0.3 included, without their code."""

from __future__ import annotations

import argparse
import collections
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from camp_bench.checkpoints.torch_file import LEGACY_START

__all__ = ["Foreign", "Instance", "VseModel", "dump2", "raw_pickle", "save2", "write_folder", "write_vocabulary"]

SPECIAL = ["<pad>", "<start>", "<end>", "<unk>"]

VSEPP = {"measure": "cosine", "use_abs": False}
SCAN = {
    "cross_attn": "t2i",
    "agg_func": "LogSumExp",
    "raw_feature_norm": "clipped_l2norm",
    "lambda_softmax": 9.0,
    "lambda_lse": 6.0,
    "bi_gru": True,
}


@dataclass
class Instance:
    """An object of a class that isn't here. items: where the class is a dict."""

    module: str
    name: str
    attributes: dict[str, Any]
    items: dict[str, Any] = field(default_factory=dict)


@dataclass
class Foreign:
    """Bytes that stand in a pickle as they are."""

    steps: bytes


def raw_pickle(*steps: bytes) -> bytes:
    return b"\x80\x02" + b"".join(steps) + b"."


def dump2(value: Any, storages: list[Tensor] | None = None) -> bytes:
    """Return the protocol-2 pickle that Python 2 makes of a value: text is byte strings, tensors are torch 0.3's."""
    return raw_pickle(_steps(value, [] if storages is None else storages))


def _steps(value: Any, storages: list[Tensor]) -> bytes:
    def each(values: Any) -> bytes:
        return b"".join(_steps(item, storages) for item in values)

    def pairs(mapping: Mapping[Any, Any]) -> bytes:
        return b"(" + each(part for pair in mapping.items() for part in pair) + b"u"

    if isinstance(value, Foreign):
        return value.steps
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogateescape")
        return b"U" + bytes([len(text)]) + text if len(text) < 256 else b"T" + struct.pack("<i", len(text)) + text
    if isinstance(value, collections.OrderedDict):  # Python 2 gives the class a list of lists
        return b"ccollections\nOrderedDict\n" + _steps([[k, v] for k, v in value.items()], storages) + b"\x85R"
    if isinstance(value, dict):
        return b"}" + pairs(value)
    if isinstance(value, list):
        return b"](" + each(value) + b"e"
    if isinstance(value, tuple):
        return b"(" + each(value) + b"t"
    if isinstance(value, Instance):
        made = f"c{value.module}\n{value.name}\n)\x81".encode("latin-1")
        return made + (pairs(value.items) if value.items else b"") + _steps(value.attributes, storages) + b"b"
    assert isinstance(value, Tensor)
    storages.append(value)
    where = ("storage", Foreign(b"ctorch.cuda\nFloatStorage\n"), str(len(storages)), "cuda:0", value.numel(), None)
    arguments = (Foreign(_steps(where, []) + b"Q"), 0, tuple(value.shape), tuple(value.contiguous().stride()))
    return b"ctorch._utils\n_rebuild_tensor\n" + _steps(arguments, []) + b"R"


def save2(content: Any, path: Path) -> None:
    """Write what torch.save of torch 0.3 in Python 2 wrote, on a machine whose tensors lay on `cuda:0`."""
    storages: list[Tensor] = []
    pickled = dump2(content, storages)
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    keys = [str(number) for number in range(1, len(storages) + 1)]
    with path.open("wb") as file:
        file.write(LEGACY_START + dump2(1001) + dump2(system) + pickled + dump2(keys))
        for tensor in storages:
            file.write(struct.pack("<q", tensor.numel()) + tensor.contiguous().numpy().tobytes())


CAMP_MEASURES = ("cross_attention", "cross_attention_new", "gate_fusion", "gate_fusion_new")


def camp_layers(measure: str, dim: int, is_sum: bool) -> dict[str, tuple[int, ...]]:
    """Return the sizes of CAMP's scorer by name."""
    new, gated = measure.endswith("_new"), measure.startswith("gate")
    words = ["img_key", "txt_key"]
    if new:
        words += ["img_query", "txt_query", *(f"weighted_{s}_{k}" for s in ("img", "txt") for k in ("key", "query"))]
    sizes: dict[str, tuple[int, ...]] = {f"{word}_fc.weight": (dim, dim) for word in words}
    if gated:
        for name in ("fc_1.0", "fc_2.0"):
            sizes[f"{name}.weight"] = (dim, dim if is_sum else 2 * dim)
            if not new:
                sizes[f"{name}.bias"] = (dim,)
        sizes |= {"fc_out.0.weight": (dim, dim if is_sum else 2 * dim), "fc_out.0.bias": (dim,)}
        sizes |= {"fc_out.3.weight": (1, dim), "fc_out.3.bias": (1,)}
    if measure != "cross_attention_new":
        for name in ("reduce_1.linear", "reduce_2.linear"):
            sizes |= {f"{name}.0.weight": (dim, dim), f"{name}.0.bias": (dim,)}
            sizes |= {f"{name}.2.weight": (4, dim), f"{name}.2.bias": (4,)}
    return sizes


class VseModel:
    """The weights and options of a VSE++, SCAN or CAMP of the authors' programs, small and random."""

    def __init__(
        self, *, words: int, features: int, dim: int = 6, word_dim: int = 5, seed: int = 0, **opt: Any
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.two_way = opt.get("bi_gru", "cross_attn" in opt or opt.get("measure") in CAMP_MEASURES)
        shapes = {"embed.weight": (words, word_dim)}
        for direction in ("", "_reverse")[: 1 + self.two_way]:
            shapes |= {
                f"rnn.weight_ih_l0{direction}": (3 * dim, word_dim),
                f"rnn.weight_hh_l0{direction}": (3 * dim, dim),
                f"rnn.bias_ih_l0{direction}": (3 * dim,),
                f"rnn.bias_hh_l0{direction}": (3 * dim,),
            }
        draw = lambda shape: torch.randn(shape, generator=generator)
        self.image = collections.OrderedDict(
            (n, draw(s)) for n, s in {"fc.weight": (dim, features), "fc.bias": (dim,)}.items()
        )
        self.text = collections.OrderedDict((name, draw(shape)) for name, shape in shapes.items())
        self.scorer: dict[str, Tensor] = {}
        if opt.get("measure") in CAMP_MEASURES:
            sizes = camp_layers(opt["measure"], dim, opt.get("fusion_func") == "sum")
            self.scorer = {name: draw(shape) / 2 for name, shape in sizes.items()}
        common = {"embed_size": dim, "word_dim": word_dim, "img_dim": features, "vocab_size": words, "num_layers": 1}
        common |= {"margin": 0.2, "max_violation": True, "num_epochs": 30, "batch_size": 128, "learning_rate": 0.0002}
        camp = opt.get("measure") in CAMP_MEASURES
        common |= {
            "lr_update": 15,
            "grad_clip": 2.0,
            "no_imgnorm": camp,
            "no_txtnorm": camp,
            "data_name": "f30k_precomp",
        }
        self.opt: dict[str, Any] = common | {"data_path": "/data3/precomp", "logger_name": "runs/x"} | opt

    def content(self, opt: Any = None) -> dict[str, Any]:
        """Return what the program passes to torch.save."""
        return {
            "epoch": 12,
            "model": [self.image, self.text, *([self.scorer] if self.scorer else [])],
            "best_rsum": 433.25,
            "opt": argparse.Namespace(**self.opt) if opt is None else opt,
            "Eiters": 27000,
        }

    def encode(self, features: np.ndarray, token_ids: Sequence[Sequence[int]]) -> tuple[Tensor, list[Tensor]]:
        """Return raw image vectors and each caption's GRU states, in float64, caption by caption."""
        images = (
            torch.from_numpy(features).double() @ self.image["fc.weight"].double().T + self.image["fc.bias"].double()
        )
        dim, word_dim = len(self.image["fc.bias"]), self.text["embed.weight"].shape[1]
        gru = nn.GRU(word_dim, dim, batch_first=True, bidirectional=self.two_way).double()
        gru.load_state_dict({n.removeprefix("rnn."): w.double() for n, w in self.text.items() if n.startswith("rnn.")})
        with torch.no_grad():
            states = [gru(self.text["embed.weight"].double()[torch.tensor(ids)][None])[0][0] for ids in token_ids]
        return images, states


def write_vocabulary(path: Path, words: Sequence[str], form: str) -> None:
    """Write a vocabulary as SCAN does (`json`), or VSE++ under Python 2 (`vocab` or `__main__`, its class's module)."""
    numbers = {word: number for number, word in enumerate(words)}
    if form == "json":
        tables = {"word2idx": numbers, "idx2word": {str(n): w for w, n in numbers.items()}, "idx": len(words)}
        path.write_text(json.dumps(tables))
        return
    attributes = {"word2idx": numbers, "idx2word": {n: w for w, n in numbers.items()}, "idx": len(words)}
    path.write_bytes(dump2(Instance(form, "Vocabulary", attributes)))


def write_folder(folder: Path, *, images: int = 12, regions: int = 3, features: int = 7) -> list[str]:
    """Write random features and captions, all unlike, in SCAN's layout; return the words of a vocabulary for them."""
    rng = np.random.default_rng(5)
    words = [f"word{number}" for number in range(40)]
    folder.mkdir(parents=True)
    for split in ("train", "dev", "test"):
        shape = (images, regions, features) if regions else (images, features)
        np.save(folder / f"{split}_ims.npy", rng.standard_normal(shape, dtype=np.float32))
        captions = [" ".join(rng.choice(words, size=rng.integers(3, 9))) + f" number{n}" for n in range(5 * images)]
        (folder / f"{split}_caps.txt").write_text("".join(f"{caption}\n" for caption in captions))
    return [*SPECIAL, *words, *(f"number{n}" for n in range(0, 5 * images, 2))]  # every other caption ends unknown
