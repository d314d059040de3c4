"""What users start: to train, to evaluate again, to add what others scored, to take in a checkpoint."""

__all__: list[str] = []
