"""Commands within the process of the test: what starting a process costs, most of them need not pay."""

import contextlib
import io
import os
from collections.abc import Mapping
from subprocess import CompletedProcess
from unittest import mock

from gateway.cli import main


def run_inline(*arguments: str, settings: Mapping[str, str]) -> CompletedProcess[str]:
    """Runs one command to its end, with these settings; not from within an event loop."""
    said, complained = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, settings),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(complained),
    ):
        try:
            code = main(arguments)
        except SystemExit as refused:  # of the parser; on its way out of a thread it would end a loop that waits for it
            code = int(refused.code or 0)
    return CompletedProcess(arguments, code, said.getvalue(), complained.getvalue())
