"""Optional packages (`pip install 'robustmer[NAME]'`), imported only where they are used."""


class MissingExtra(ImportError):
    """A package of an extra is not installed."""
