"""Takes how much of a job is done; gives a bar on a terminal, or a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

EVERY = 30.0
"""Seconds between two lines where there is no terminal."""


class Progress:
    """Holds what is shown on standard error while a job runs; a context manager.

    Args:
        what: what is done, such as "labelling".
        total: records of the whole job; None if nobody knows.
        done: records that were done before.
    """

    def __init__(self, what: str, total: int | None, done: int = 0) -> None:
        self._what = what
        self._total = total
        self._before = done
        self._records = 0
        self._sentences = 0
        self._start = self._told = time.monotonic()
        console = Console(stderr=True)
        self._bar: Bar | None = None
        if console.is_terminal:
            columns = (BarColumn(), TextColumn("{task.description}"))
            self._bar = Bar(*columns, console=console, transient=True)
            self._task = self._bar.add_task(what, total=total, completed=done)

    def add(self, records: int, sentences: int = 0) -> None:
        """Count what was done since the last call."""
        self._records += records
        self._sentences += sentences
        now = time.monotonic()
        if self._bar is not None:
            if now - self._told > 0.2:
                self._told = now
                done = self._before + self._records
                self._bar.update(self._task, completed=done, description=self.line())
        elif now - self._told > EVERY:
            self._told = now
            print(f"stance: {self.line()}", file=sys.stderr, flush=True)

    def line(self) -> str:
        """How far the job is, how fast, and how long it will take."""
        seconds = max(time.monotonic() - self._start, 1e-9)
        done = self._before + self._records
        rate = self._records / seconds
        line = f"{self._what}: {done:,}"
        if self._total is not None:
            line += f" of {self._total:,}"
        line += f" articles, {rate:,.1f} articles/s"
        if self._sentences:
            line += f", {self._sentences / seconds:,.0f} sentences/s"
        if self._total is not None and rate:
            line += f", {timedelta(seconds=round((self._total - done) / rate))} left"
        return line

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
