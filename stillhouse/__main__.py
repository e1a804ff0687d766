"""``python -m stillhouse`` is the ``stillhouse`` command."""

from .cli import main

main()
