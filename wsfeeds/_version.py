"""The version, stated once: the build, the recordings and `--version` read it here."""

__version__ = "0.1.0"
