"""dolbuild: an incremental build system for DOL 2.0, as a plugin of doit."""

__version__ = "0.1.0"
