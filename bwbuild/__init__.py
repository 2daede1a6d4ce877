"""bwbuild: build Debian packages in a bubblewrap sandbox."""

__version__ = "0.1.0"
