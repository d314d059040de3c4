"""A model of your own: each word looks for its best region (late interaction).

camp-bench models test own_model:MaxSim       # in this folder: does it keep to the protocol?
camp-bench run --models own_model:MaxSim,scan # beside the others, same splits, same protocol
"""

import msgspec
import torch

import camp_bench
from camp_bench.models.encoders import WordEncoder, region_encoder


class MaxSimOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settable in an experiment file: [model."own_model:MaxSim"] temperature = 0.5"""

    temperature: float = 1.0


class MaxSim(camp_bench.PairModel):
    """Mean over words of the largest cosine with a region."""

    options_type = MaxSimOptions
    presets = {"quick": {"epochs": 4, "batch_size": 64, "learning_rate": 2e-3}}  # noqa: RUF012 (never changed)

    def __init__(self, settings, options, shape):
        super().__init__(settings, options, shape)
        self.image_encoder = region_encoder(shape.feature_size, settings.dim)
        self.caption_encoder = WordEncoder(shape.vocabulary_size, settings.word_dim, settings.dim, settings.word_spread)

    def encode_images(self, features):  # (I, R, F) -> (I, R, D)
        return torch.nn.functional.normalize(self.image_encoder(features), dim=2)

    def encode_captions(self, tokens, lengths):  # (C, L) -> (C, L, D), zero beyond a caption's end
        return torch.nn.functional.normalize(self.caption_encoder(tokens, lengths), dim=2)

    def score_tile(self, images, captions):  # what the two encoders gave, as "vectors" -> (I, C)
        words, lengths = captions["vectors"], captions["lengths"].to(images["vectors"].device)
        best = torch.einsum("ird,cld->icrl", images["vectors"], words).amax(2)
        real = torch.arange(words.shape[1], device=words.device) < lengths[:, None]
        return (best * real).sum(2) / (lengths * self.options.temperature)
