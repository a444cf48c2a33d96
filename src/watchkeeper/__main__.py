"""`python -m watchkeeper`."""

from __future__ import annotations

from watchkeeper.cli.main import main

main()
