"""Takes the encoder part of a config; gives a folder with pretrained weights and tokenizer."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stance.errors import StanceError
from stance.storage import file_hash
from stance.windows import MENTION_MARKERS, SpecialTokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

ENCODER_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")


@dataclass(frozen=True)
class EncoderSource:
    """Where pretrained weights come from.

    name: a local folder, or a model id of the Hugging Face Hub.
    revision: of the Hub id.
    package: an importable package that carries a copy in its folder `model`, for machines that
        do not reach the Hub.
    sha256: of the package's `model.safetensors`.
    overrides: fields of the encoder's config to change, such as dropout.
    """

    name: str
    revision: str | None = None
    package: str | None = None
    sha256: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


def encoder_folder(source: EncoderSource) -> Path:
    """The folder with the encoder's files: local, from the Hub or its cache, or the package's.

    Raises:
        StanceError: none of the three has it, or the package's copy has another hash.
    """
    folder = Path(source.name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise StanceError(f"{folder}: the encoder folder has no config.json")
        return folder
    if folder.is_absolute() or source.name.startswith("."):
        raise StanceError(f"{folder}: there is no such encoder folder")
    try:
        from huggingface_hub import snapshot_download

        return Path(
            snapshot_download(
                source.name,
                revision=source.revision,
                allow_patterns=list(ENCODER_FILES),
                ignore_patterns=["onnx/*", "openvino/*"],
            )
        )
    except Exception as error:
        copy = package_folder(source)
        if copy is None:
            hint = ""
            if source.package:
                hint = f", and its copy is not installed (pip install {source.package})"
            raise StanceError(
                f"encoder {source.name!r} is no local folder, fetching it from the Hub failed "
                f"({type(error).__name__}){hint}"
            ) from error
        logger.info("encoder %s: the Hub is out of reach, using %s", source.name, source.package)
        return copy


def package_folder(source: EncoderSource) -> Path | None:
    """The folder `model` of the package that carries the encoder, its hash checked, or None."""
    if source.package is None:
        return None
    spec = importlib.util.find_spec(source.package.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file():
        return None
    digest = file_hash(weights)
    if source.sha256 and digest != source.sha256:
        raise StanceError(f"{weights}: its SHA-256 is {digest}, want {source.sha256}")
    return folder


def prepare_tokenizer(folder: Path) -> tuple[PreTrainedTokenizerBase, SpecialTokens]:
    """The encoder's tokenizer with the mention markers added, and the ids that frame a window.

    Raises:
        StanceError: the tokenizer has no fast (`tokenizers`) form.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise StanceError(f"{folder}: the encoder's tokenizer has no tokenizer.json form")
    tokenizer.add_special_tokens(
        {"extra_special_tokens": list(MENTION_MARKERS)}, replace_extra_special_tokens=False
    )
    first = tokenizer.cls_token_id
    last = tokenizer.sep_token_id
    first = tokenizer.bos_token_id if first is None else first
    last = tokenizer.eos_token_id if last is None else last
    if first is None or last is None or tokenizer.pad_token_id is None:
        raise StanceError(f"{folder}: the tokenizer lacks a start, separator or padding token")
    vocabulary = tokenizer.get_vocab()
    opening, closing = (vocabulary[marker] for marker in MENTION_MARKERS)
    return tokenizer, SpecialTokens(first, last, tokenizer.pad_token_id, (opening, closing))
