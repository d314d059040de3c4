"""What is measured of a model on a split: ranks from tiles, a cascade, attention, how it keeps the contract."""

__all__: list[str] = []
