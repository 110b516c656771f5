"""Takes a composed Hydra config; gives the schema and the labelled articles that it names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from stance.corpora import check_labels, group_hash, join_spans, read_corpus, read_files
from stance.errors import StanceError
from stance.further_targets import add_further_targets, further_targets_file
from stance.records import Article
from stance.schema import Schema


def plain(node: Any) -> Any:
    """A config node as plain data, interpolations resolved."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def load_schema(cfg: DictConfig) -> Schema:
    """The schema of the config group `schema`, or of the file that `schema.file` names."""
    data = plain(cfg.schema)
    if isinstance(data, Mapping) and set(data) == {"file"}:
        return Schema.load(str(data["file"]))
    return Schema.from_dict(data)


def corpus_names(cfg: DictConfig) -> list[str]:
    """Names of the corpora of the config group `corpus`; a user's own files are called `files`."""
    names = [str(name) for name in plain(cfg.corpus.names) or []]
    if any(plain(cfg.corpus.files).values()):
        names.append("files")
    if not names:
        raise StanceError("corpus: want names of corpora, or files.train with paths of your own")
    return names


def load_part(cfg: DictConfig, part: str, schema: Schema) -> dict[str, list[Article]]:
    """The articles of one part, by corpus, their labels checked against the schema.

    `corpus.limit` takes that share of the training articles (by hash), for quick trials.

    Raises:
        StanceError: a missing file, a broken line, an unknown label.
    """
    result: dict[str, list[Article]] = {}
    for name in corpus_names(cfg):
        if name == "files":
            articles = _own_part(cfg, part, schema)
        else:
            try:
                articles = read_corpus(name, cfg.corpus.dir, part)
            except StanceError as error:
                if part in ("dev", "test") and "has no part" in str(error):
                    continue
                raise
        if name == "polnear" and cfg.corpus.polnear_spans:
            articles = join_spans(
                articles,
                read_corpus("polnear-spans", cfg.corpus.dir, "dev" if part == "dev" else "train")
                + (
                    read_corpus("polnear-spans", cfg.corpus.dir, "selection")
                    if part != "dev"
                    else []
                ),
            )
        if part == "train" and name in plain(cfg.corpus.get("further_targets") or []):
            articles = add_further_targets(articles, further_targets_file(name))
        share = float(cfg.corpus.limit)
        if part == "train" and share < 1:
            kept = [
                a for a in articles if group_hash("limit/" + (a.id or a.text)) % 1000 < share * 1000
            ]
            articles = kept or articles[:1]
        check_labels(articles, schema, name)
        if articles:
            result[name] = articles
    if not result:
        raise StanceError(f"corpus: no labelled article in part {part!r}")
    return result


def _own_part(cfg: DictConfig, part: str, schema: Schema) -> list[Article]:
    """A part of the user's own files; without files of its own, selection and dev are cut off.

    Tenths of the texts by their hash: one is the selection, one the dev part. Rows of one text,
    such as those of a sentence with several targets, stay together.
    """
    files = plain(cfg.corpus.files)
    unknown = set(files) - {"train", "selection", "dev", "test"}
    if unknown:
        raise StanceError(f"corpus.files: there is no part {min(unknown)!r}")

    def read(name: str) -> list[Article]:
        paths = files[name]
        paths = [paths] if isinstance(paths, str) else paths
        return read_files([Path(path) for path in paths], schema)

    if files.get(part) and part != "train":
        return read(part)
    if part == "test":
        return []
    if not files.get("train"):
        raise StanceError("corpus.files.train: want the path of your labelled articles")
    articles = read("train")
    cuts = [name for name in ("selection", "dev") if not files.get(name)]
    texts = sorted({article.text for article in articles}, key=group_hash)
    size = -(-len(texts) // 10)
    if len(texts) <= size * len(cuts):
        raise StanceError(f"corpus.files.train: {len(texts)} texts are too few to cut parts from")
    where = {
        text: name
        for number, name in enumerate(cuts)
        for text in texts[number * size : (number + 1) * size]
    }
    return [article for article in articles if where.get(article.text, "train") == part]
