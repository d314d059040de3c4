"""Exact ranks of both directions from tiles of the score matrix, without ever holding the matrix.

`grid` cuts the matrix, `tiles` ranks whatever gives scores tile by tile, `matrix` one on disk, `vectors` what dot
products give; `tally`, `loops` and `toplists` are how, `holding` keeps what tiles are made of. `rerank` is the
arithmetic of a cascade, `metrics` what ranks come to, `positives` what else is right. Importing this alone loads no
torch.
"""

__all__: list[str] = []
