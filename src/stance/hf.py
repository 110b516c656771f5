"""Takes nothing; on import gives transformers our classes and the pipeline `stance-attribution`.

After `import stance.hf`, `AutoConfig`, `AutoModel` and `pipeline` know our model folders.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModel, Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from stance.model import StanceConfig, StanceModel
from stance.records import Article, Target
from stance.runtime import TorchRuntime
from stance.tagger import Tagger, copy_model, find_model

TASK = "stance-attribution"

Targets = str | Sequence[str | Mapping[str, Any] | Target]


class StancePipeline(Pipeline):
    """Articles in, records out: `pipeline("stance-attribution", model=FOLDER)`.

    A call takes a text, a record or an Article, or a list, generator or dataset of them, and
    `targets` (see `Tagger.tag`). Windows of several articles run together; the pipeline's own
    `batch_size` plays no part. Raises `RecordError` for a broken record.
    """

    _load_tokenizer = False  # type: ignore[assignment]
    _load_processor = False  # type: ignore[assignment]
    _load_image_processor = False  # type: ignore[assignment]
    _load_video_processor = False  # type: ignore[assignment]
    _load_feature_extractor = False  # type: ignore[assignment]

    def __init__(self, model: StanceModel, **kwargs: Any) -> None:
        super().__init__(model=model, **kwargs)
        self.folder = find_model(str(model.name_or_path))
        self.tagger = Tagger.from_folder(self.folder, TorchRuntime(model))

    def _sanitize_parameters(  # type: ignore[override]
        self, targets: Targets | None = None
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return {} if targets is None else {"targets": targets}, {}, {}

    def preprocess(  # type: ignore[override]
        self, input_: Any, targets: Targets = ()
    ) -> dict[str, Any]:
        """One article with its targets."""
        return {"article": input_, "targets": targets}

    def _forward(  # type: ignore[override]
        self, input_tensors: dict[str, Any]
    ) -> dict[str, Any]:
        return {"article": self.tagger.tag(input_tensors["article"], input_tensors["targets"])}

    def postprocess(  # type: ignore[override]
        self, model_outputs: dict[str, Any]
    ) -> dict[str, Any]:
        """The record."""
        article: Article = model_outputs["article"]
        return article.to_dict()

    def get_iterator(
        self,
        inputs: Iterable[Any],
        num_workers: int,
        batch_size: int,
        preprocess_params: Mapping[str, Any],
        forward_params: Mapping[str, Any],
        postprocess_params: Mapping[str, Any],
    ) -> Iterator[dict[str, Any]]:
        """The records of many articles, in order, read as they are asked for."""
        for article in self.tagger.tag_many(inputs, preprocess_params.get("targets", ())):
            yield article.to_dict()

    def save_pretrained(self, save_directory: str | os.PathLike[str], **kwargs: Any) -> None:
        """Copy the model folder: data alone, where the usual way would put code beside it."""
        copy_model(self.folder, Path(save_directory))


AutoConfig.register("stance", StanceConfig, exist_ok=True)
AutoModel.register(StanceConfig, StanceModel, exist_ok=True)
if TASK not in PIPELINE_REGISTRY.get_supported_tasks():
    PIPELINE_REGISTRY.register_pipeline(TASK, StancePipeline, pt_model=AutoModel)
