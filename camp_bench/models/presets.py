"""What the presets of all families start from; each family's file says where it differs."""

from __future__ import annotations

import msgspec

from camp_bench.config import Settings

__all__ = ["CAMP_PAPER", "CAMP_QUICK", "PAPER", "QUICK"]

QUICK = Settings(
    dim=256,
    word_dim=300,
    word_spread=0.1,
    epochs=8,
    warmup_epochs=1,
    batch_size=64,
    optimizer="adam",
    learning_rate=1e-3,
    momentum=0.0,
    weight_decay=0.0,
    decay_epochs=(6,),
    clip_norm=2.0,
    margin=0.2,
    min_count=4,
    max_words=47,
    validate_every=2,
    tile_images=20,
    tile_captions=100,
)
"""Small enough to train within minutes on two cores."""

PAPER = msgspec.structs.replace(
    QUICK,
    dim=1024,
    epochs=30,
    warmup_epochs=0,
    batch_size=128,
    learning_rate=2e-4,
    decay_epochs=(15,),
    max_words=1000,  # no caption was cut
    validate_every=1,
)
"""As VSE++ and SCAN were trained on Flickr30K's region features (SCAN section 4, and its released program)."""

CAMP_QUICK = msgspec.structs.replace(
    QUICK,
    dim=128,
    epochs=4,
    batch_size=32,
    decay_epochs=(3,),
    validate_every=4,
    tile_images=64,
    tile_captions=320,
)
"""For all forms of CAMP, the paper's and the released ones."""

CAMP_PAPER = msgspec.structs.replace(
    PAPER,
    epochs=22,  # 110 of one caption an image
    batch_size=256,
    learning_rate=1e-3,  # 2e-3 x 128 / 256
    decay_epochs=(10, 20),  # every 50 of one caption an image
    max_words=QUICK.max_words,
    tile_images=CAMP_QUICK.tile_images,
    tile_captions=CAMP_QUICK.tile_captions,
)
"""The released program's first stage, whose epoch is one caption an image: five of them are one here."""
