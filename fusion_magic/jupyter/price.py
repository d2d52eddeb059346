"""`--dry-run` and `--confirm`: what a run would cost, shown before anybody is asked."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from IPython.core.error import StdinNotImplementedError, UsageError
from IPython.display import display

from .. import api
from ..pipeline.request import FusionRequest
from .static.estimates import estimate_bundle

if TYPE_CHECKING:
    from ..pipeline.estimate import RunEstimate

QUESTION = "Ask them? [y/N] "


def show_price(request: FusionRequest) -> RunEstimate:
    """Show every call that the run would make, with its price; nobody is asked. Raises as `fuse` before its calls."""
    with interruptible():
        estimate = api.estimate_for(request)
    display(estimate_bundle(estimate), raw=True)
    return estimate


def is_confirmed(request: FusionRequest) -> bool:
    """Show the price and ask whether to go on. Raises UsageError where nobody can be asked."""
    show_price(request)
    try:
        with interruptible():
            answer = input(QUESTION)
    except StdinNotImplementedError as exc:
        raise UsageError(
            "nobody can be asked here, and no model was; leave --confirm out, or set a limit with --max-usd"
        ) from exc
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        print("Nobody was asked.")
        return False
    return True


@contextmanager
def interruptible() -> Generator[None]:
    """Let an interrupt end what blocks here: in an awaited cell ipykernel's handler only cancels at the next await."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
