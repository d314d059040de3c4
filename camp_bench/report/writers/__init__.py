"""A format a file: a document in, text out."""

__all__: list[str] = []
