"""Takes parts of a plan; gives their counts as workers of Ray Data finish them (extra `ray`)."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from stance.errors import StanceError, require
from stance.jobs.labelling import Counts
from stance.jobs.parts import Settings, write_part
from stance.jobs.plan import Part
from stance.tagger import Tagger


def label_parts(
    parts: Sequence[Part],
    settings: Settings,
    *,
    address: str | None = None,
    workers: int | None = None,
) -> Iterator[tuple[int, Counts]]:
    """Label the parts in a pool of actors, each of which loads the model once and has one thread.

    A worker writes its parts itself, so nothing but their counts goes through Ray, and a part whose
    worker died is begun anew by another one.

    Args:
        address: of a cluster, as `ray.init` takes it; None starts Ray on this machine. All nodes
            must see the input, the model and the output folder under the same paths.
        workers: None takes the processors that Ray has.

    Raises:
        StanceError: there is no such cluster, or a part cannot be labelled.
        MissingExtra: Ray is not installed.
    """
    ray = require("ray", "ray")
    data = require("ray.data", "ray")
    own: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level=logging.WARNING,
            **({} if address else own),
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise StanceError(f"ray.address={address}: {error}") from error
    try:
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        size = min(workers or int(ray.cluster_resources().get("CPU", 1)), len(parts))
        rows = [{"part": json.dumps(part.to_json())} for part in parts]
        counts = data.from_items(rows, override_num_blocks=len(rows)).map(
            _Worker,
            fn_constructor_kwargs={"settings": asdict(replace(settings, threads=1))},
            # One part in work and one at hand: more would not be free for whoever is ready first.
            compute=data.ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=2),
            num_cpus=1,
        )
        for row in counts.iter_rows():
            if row["error"]:
                raise StanceError(row["error"])
            yield row["number"], Counts(row["articles"], row["sentences"], row["rejects"])
    finally:
        ray.shutdown()


class _Worker:
    """Holds the tagger of one actor; an error that a user can mend comes back as a row."""

    def __init__(self, settings: dict[str, Any]) -> None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        self.settings = Settings(**settings)
        self.tagger: Tagger | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        part = Part.from_json(json.loads(row["part"]))
        counts, trouble = Counts(), ""
        try:
            self.tagger = self.tagger or self.settings.load()
            counts = write_part(self.tagger, part, self.settings)
        except StanceError as error:
            trouble = str(error)
        return {"number": part.number, **asdict(counts), "error": trouble}
