"""What the presets of all families start from; each family's file says where it differs."""

from __future__ import annotations

import msgspec

from camp_bench.config import Settings

__all__ = ["PAPER", "QUICK"]

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
