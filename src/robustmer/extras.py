"""Packages that only a part of the library needs, `pip install -e '.[NAME]'`: they are imported where it is used."""


class MissingExtra(ImportError):
    """A package that the library needs only for this is not installed."""
