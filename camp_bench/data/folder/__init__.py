"""A dataset's folder: its layout, texts and arrays, writing it whole, verifying it, summing it up."""

__all__: list[str] = []
