"""What people have, a format a file, made into a dataset's folder."""

__all__: list[str] = []
