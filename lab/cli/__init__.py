"""The command ``mnemo``: parse, call, print. What a command does lives in :mod:`lab.pipeline`."""

from lab.cli.app import app, main

__all__ = ["app", "main"]
