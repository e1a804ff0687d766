"""The face of Stillhouse: its command line and the quickstart."""

__version__ = "0.1.0"
