"""Takes text, an article or a stream of them; gives tagged articles, in order."""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stance.auto_targets import add_targets
from stance.calibration import Calibration
from stance.errors import RecordError, StanceError
from stance.mentions import skip_unmentioned
from stance.records import Article, Label, Sentence, Span, Stance, Target
from stance.resources import bundled
from stance.runtime import ONNX_FILES, Logits, Runtime, load_runtime
from stance.schema import Facet, FloatArray, Schema
from stance.segment import segment
from stance.spans import decode_spans
from stance.speakers import speakers
from stance.storage import file_hash
from stance.windows import Encoding, SpecialTokens, Tokens, Window, WindowEncoder, pad

LOOK_AHEAD = 48
"""Windows that are read ahead and sorted by length, to waste little on padding."""

FIRST_LOOK = 12
"""The same of a stream's first articles, so that the model has work soon; then twice as many."""

DEFAULT_MODEL = "default"
"""The name of the model that the package carries."""

HUB_FILES = ("*.json", "model.safetensors", *ONNX_FILES.values(), "README.md")


@dataclass(frozen=True)
class ArticleLogits:
    """Raw logits of one article.

    facets (sentences, width), stance (sentences, targets, stances), spans: per sentence the
    offsets (n, 2) of its tokens and their logits (n, tracks, 3).
    """

    facets: FloatArray
    stance: FloatArray
    spans: list[tuple[NDArray[np.int32], FloatArray]]
    truncated: frozenset[int]


@dataclass(frozen=True)
class Running:
    """Articles that the model is at work on.

    chunk: the articles with their windows. batches: windows with their article's number in the
    chunk. logits: those of each batch, once they are there.
    """

    chunk: Sequence[tuple[Article, list[Window]]]
    batches: list[list[tuple[int, Window]]]
    logits: list[Future[Logits]]


class Tagger:
    """Holds a model and labels articles with it; see `from_pretrained`, `tag`, `tag_many`."""

    def __init__(
        self,
        runtime: Runtime,
        encoder: WindowEncoder,
        schema: Schema,
        *,
        calibration: Calibration | None = None,
        trained: Iterable[str] = (),
        name: str = "stance",
        batch_tokens: int | None = None,
    ) -> None:
        self.runtime = runtime
        self.encoder = encoder
        self.schema = schema
        self.calibration = calibration or Calibration()
        self.heads = frozenset(trained) or all_heads(schema)
        self.name = name
        self.batch_tokens = batch_tokens or runtime.batch_tokens

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path = DEFAULT_MODEL,
        *,
        backend: str = "auto",
        device: str = "auto",
        threads: int | None = None,
        dtype: str = "float32",
        batch_tokens: int | None = None,
        context: int | None = None,
    ) -> Tagger:
        """Load a model folder, a model id of the Hugging Face Hub, or the package's own model.

        Args:
            model: a folder that training wrote, an id such as `organisation/name`, or `default`,
                the model that the package carries.
            backend: auto, torch, onnx, onnx-int8 or onnx-vnni (see `stance.runtime.load_runtime`).
            device: auto, cpu, cuda, mps.
            threads: of the CPU; None takes the cores that this process may use.
            dtype: of PyTorch's matrix products: float32, bfloat16, or auto, which is bfloat16 where
                the processor has it. Labels may then differ a little from one machine to another.
            batch_tokens: padded tokens in one batch; None takes what suits the backend on a CPU.
                Take more on a GPU.
            context: sentences that a window reads before those that it labels; None takes the
                model's own setting. 0 is faster and a little less right (see docs/speed.md).

        Raises:
            StanceError: the folder is missing or is not a model of this package, or the context is
                negative.
        """
        folder = find_model(model)
        read_config(folder)  # tells what is no model of this package before anything is loaded
        with ThreadPoolExecutor(1) as beside:
            name = beside.submit(model_name, folder)
            runtime = load_runtime(folder, backend, device, threads, dtype)
            tagger = cls.from_folder(folder, runtime, batch_tokens=batch_tokens, name=name.result())
        if context is not None:
            tagger.encoder.encoding = replace(tagger.encoder.encoding, context=context)
        return tagger

    @classmethod
    def from_settings(cls, settings: Any) -> Tagger:
        """Load as a config says, whose fields have the names of `from_pretrained`'s arguments.

        Raises:
            StanceError: see `from_pretrained`.
        """
        return cls.from_pretrained(
            str(settings.model),
            backend=str(settings.backend),
            device=str(settings.device),
            threads=settings.threads and int(settings.threads),
            dtype=str(settings.dtype),
            batch_tokens=settings.batch_tokens and int(settings.batch_tokens),
            context=None if settings.context is None else int(settings.context),
        )

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        runtime: Runtime,
        *,
        batch_tokens: int | None = None,
        name: str | None = None,
    ) -> Tagger:
        """The tagger of a model folder whose graph is loaded already.

        Args:
            name: what `model_name` gives, where it is known.

        Raises:
            StanceError: the folder is not a model of this package.
        """
        config = read_config(folder)
        encoder = WindowEncoder.from_folder(
            folder,
            SpecialTokens.from_dict(config["special_tokens"]),
            Encoding.from_dict(config["encoding"]),
        )
        schema = Schema.from_dict(config["schema"], where=f"{folder / 'config.json'}: schema")
        calibration = Calibration.load(folder / "calibration.json")
        calibration.check(schema, where=str(folder / "calibration.json"))
        return cls(
            runtime,
            encoder,
            schema,
            calibration=calibration,
            trained=config.get("trained", ()),
            name=name or model_name(folder),
            batch_tokens=batch_tokens,
        )

    def on(self, runtime: Runtime, batch_tokens: int | None = None) -> Tagger:
        """The same tagger on another runtime, with batches of this size or of what suits it."""
        return Tagger(
            runtime,
            self.encoder,
            self.schema,
            calibration=self.calibration,
            trained=self.heads,
            name=self.name,
            batch_tokens=batch_tokens,
        )

    def tag(
        self,
        article: str | Mapping[str, Any] | Article,
        targets: Sequence[str | Mapping[str, Any] | Target] = (),
    ) -> Article:
        """Label one article.

        Args:
            article: a text, a record as a dict, or an Article.
            targets: entities (as text) or targets as dicts, added to the article's own; or "auto"
                for its main actors and its main claim (see `stance.auto_targets`). A target with
                `names` is skipped where the article mentions none of them.

        Returns:
            The article with all its fields and labelled sentences.

        Raises:
            RecordError: the record or a target is broken.
            StanceError: `targets` is another string than "auto", or no list.
        """
        return next(self._tag([self._prepare(article)], _several(targets)))

    def tag_many(
        self,
        articles: Iterable[str | Mapping[str, Any] | Article],
        targets: Sequence[str | Mapping[str, Any] | Target] = (),
    ) -> Iterator[Article]:
        """Label a stream of articles; yields them in order and reads only some windows ahead.

        Arguments and errors are those of `tag`; a broken record is named by its number from 1, and
        those before it come out first.

        Raises:
            StanceError: `articles` is one article.
        """
        if isinstance(articles, (str, bytes, Mapping, Article)):
            raise StanceError("articles: want several, found one: use tag, or a list of it")
        return self._tag(self._numbered(articles), _several(targets))

    def _tag(
        self, articles: Iterable[Article], targets: Sequence[str | Mapping[str, Any] | Target]
    ) -> Iterator[Article]:
        prepared = (skip_unmentioned(add_targets(article, targets)) for article in articles)
        for article, logits in self.logits(prepared):
            yield self._label(article, logits)

    def _numbered(self, articles: Iterable[str | Mapping[str, Any] | Article]) -> Iterator[Article]:
        for number, article in enumerate(articles, 1):
            try:
                prepared = self._prepare(article)
            except RecordError as error:
                raise error.at("article", number) from None
            yield prepared

    def logits(self, articles: Iterable[Article]) -> Iterator[tuple[Article, ArticleLogits]]:
        """The articles, with sentences, and their raw logits (before calibration), in order.

        The model has threads of its own: while they run, the next articles are read and tokenised
        and the ones before are labelled. What is in a batch follows from the articles alone.
        """
        running: deque[Running] = deque()
        failure: Exception | None = None
        model = ThreadPoolExecutor(self.runtime.workers, thread_name_prefix="stance-model")
        try:
            for chunk in self._chunks(articles):
                if isinstance(chunk, Exception):
                    failure = chunk  # the last of the chunks
                    break
                running.append(self._start(chunk, model))
                self.runtime.settle()
                if len(running) > 1 + self.runtime.workers // 8:  # enough for all of them to do
                    yield from self._finish(running.popleft())
            while running:
                yield from self._finish(running.popleft())
            if failure is not None:
                raise failure
        finally:
            # Without waiting: who stops reading in the midst need not wait for what was begun.
            model.shutdown(wait=False, cancel_futures=True)

    def _chunks(
        self, articles: Iterable[Article]
    ) -> Iterator[list[tuple[Article, list[Window]]] | Exception]:
        """The articles with their windows, `LOOK_AHEAD` or a few more at a time, fewer at first.

        An error of the stream comes last, when what was read before it has been given.
        """
        chunk: list[tuple[Article, list[Window]]] = []
        waiting, limit = 0, FIRST_LOOK
        stream = iter(articles)
        while True:
            try:
                article = next(stream, None)
                if article is None:
                    break
                windows = self.windows(article)
            except Exception as error:
                if chunk:
                    yield chunk
                yield error
                return
            chunk.append((article, windows))
            waiting += max(1, len(windows))
            if waiting >= limit:
                yield chunk
                chunk, waiting, limit = [], 0, min(2 * limit, LOOK_AHEAD)
        if chunk:
            yield chunk

    def _prepare(self, article: str | Mapping[str, Any] | Article) -> Article:
        if isinstance(article, str):
            article = Article.from_dict({"text": article})
        elif isinstance(article, Article):
            article.check()
        else:
            article = Article.from_dict(article)
        if not article.sentences:
            sentences = tuple(
                Sentence(start, end, article.text[start:end])
                for start, end in segment(article.text)
            )
            article = replace(article, sentences=sentences)
        return article

    def windows(self, article: Article) -> list[Window]:
        """The windows of an article that has sentences; none without a sentence.

        Targets stand in front from the shortest to the longest, whatever their order in the
        article, so that their order changes no label.
        """
        spans: list[Span] = [(s.start, s.end) for s in article.sentences or ()]
        if not spans:
            return []
        sentences = self.encoder.tokenize_sentences(article, spans)
        asked = [number for number, target in enumerate(article.targets) if not target.skipped]
        asked.sort(key=lambda number: _reading_order(article.targets[number]))
        targets: dict[int, Tokens] = {}
        if asked:
            texts = self.encoder.tokenize_texts([article.targets[n].text for n in asked])
            targets = dict(zip(asked, texts, strict=True))
        return self.encoder.windows(sentences, targets, asked)

    def _start(self, chunk: Sequence[tuple[Article, list[Window]]], model: Executor) -> Running:
        """Put one chunk before the model, in batches of windows of like length."""
        placed = [(a, window) for a, (_, windows) in enumerate(chunk) for window in windows]
        placed.sort(key=lambda place: len(place[1]))
        batches = list(self._batches(placed))
        batches.reverse()  # the longest first: no thread is left with much to do at the end
        return Running(chunk, batches, [model.submit(self._logits, batch) for batch in batches])

    def _logits(self, batch: Sequence[tuple[int, Window]]) -> Logits:
        return self.runtime.run(pad([window for _, window in batch], self.encoder.special.pad))

    def _finish(self, running: Running) -> Iterator[tuple[Article, ArticleLogits]]:
        """Wait for a chunk; its articles with their logits."""
        results = [self._empty(article) for article, _ in running.chunk]
        for batch, future in zip(running.batches, running.logits, strict=True):
            logits = future.result()
            for row, (a, window) in enumerate(batch):
                _scatter(
                    window, logits.facets[row], logits.stance[row], logits.spans[row], results[a]
                )
        for (article, windows), result in zip(running.chunk, results, strict=True):
            cut = frozenset(n for window in windows for n in window.truncated)
            yield article, replace(result, truncated=cut)

    def _batches(self, placed: Iterable[tuple[int, Window]]) -> Iterator[list[tuple[int, Window]]]:
        batch: list[tuple[int, Window]] = []
        for a, window in placed:
            if batch and (len(batch) + 1) * len(window) > self.batch_tokens:
                yield batch
                batch = []
            batch.append((a, window))
        if batch:
            yield batch

    def _empty(self, article: Article) -> ArticleLogits:
        count = len(article.sentences or ())
        nothing = (
            np.zeros((0, 2), dtype=np.int32),
            np.zeros((0, len(self.schema.spans), 3), dtype=np.float32),
        )
        return ArticleLogits(
            facets=np.zeros((count, self.schema.width), dtype=np.float32),
            stance=np.zeros(
                (count, len(article.targets), len(self.schema.stance)), dtype=np.float32
            ),
            spans=[nothing] * count,
            truncated=frozenset(),
        )

    def _label(self, article: Article, logits: ArticleLogits) -> Article:
        """Labels from logits; heads that never saw a label in training stay silent."""
        facet_probs = self.calibration.facet_probabilities(logits.facets, self.schema)
        stances = self._stances(logits.stance, article.targets)
        tag_probs = self.schema.tag_probabilities(facet_probs).tolist()
        known = [(f, columns) for f, columns in self.schema.slices() if f.name in self.heads]
        own = {facet.name for facet in self.schema.facets}
        tagged = self.schema.facets_of_tags() <= {facet.name for facet, _ in known}
        tracks = [track for track in self.schema.spans if f"spans/{track}" in self.heads]
        chosen = {
            facet.name: self.calibration.choose_in_order(facet.name, facet_probs[:, columns])
            for facet, columns in known
        }
        weights = self.calibration.span_weights(tracks)
        spans = decode_spans(
            article.text, logits.spans, self.schema.spans if tracks else (), weights
        )
        labelled: list[Sentence] = []
        for row, sentence in enumerate(article.sentences or ()):
            facets = {
                facet.name: facet_label(facet, facet_probs[row, columns], chosen[facet.name][row])
                for facet, columns in known
            }
            labelled.append(
                replace(
                    sentence,
                    truncated=row in logits.truncated,
                    facets={n: f for n, f in sentence.facets.items() if n not in own} | facets,
                    extra={n: v for n, v in sentence.extra.items() if n not in own},
                    tags=self._tags(facets) if tagged else None,
                    tag_probs={
                        tag.name: min(p, 1.0)
                        for tag, p in zip(self.schema.tags, tag_probs[row], strict=True)
                    }
                    if tagged
                    else None,
                    stance=stances[row] if "stance" in self.heads else (),
                    spans=spans[row] if tracks else None,
                    speaker=None,
                )
            )
        if "source" in {facet.name for facet, _ in known}:
            names = speakers(replace(article, sentences=tuple(labelled)))
            labelled = [replace(s, speaker=n) for s, n in zip(labelled, names, strict=True)]
        return replace(article, sentences=tuple(labelled), model=self.name)

    def _tags(self, facets: Mapping[str, Label]) -> tuple[str, ...]:
        return tuple(self.schema.tags_of({name: label.label for name, label in facets.items()}))

    def _stances(self, logits: FloatArray, targets: Sequence[Target]) -> list[tuple[Stance, ...]]:
        """The stances of every sentence toward the targets that are not skipped."""
        probs = self.calibration.stance_probabilities(logits)
        names = self.schema.stance
        asked = [number for number, target in enumerate(targets) if not target.skipped]
        return [
            tuple(
                Stance(n, names[best[n]], row[n][best[n]], dict(zip(names, row[n], strict=True)))
                for n in asked
            )
            for best, row in zip(
                self.calibration.choose("stance", probs).tolist(), probs.tolist(), strict=True
            )
        ]


def all_heads(schema: Schema) -> frozenset[str]:
    """Names of everything a model of this schema can say."""
    facets = [facet.name for facet in schema.facets]
    return frozenset([*facets, "stance", *(f"spans/{track}" for track in schema.spans)])


def _several(
    targets: str | Sequence[str | Mapping[str, Any] | Target],
) -> str | tuple[str | Mapping[str, Any] | Target, ...]:
    """The targets, read once: they are asked for in every article."""
    if isinstance(targets, (Mapping, Target)):
        raise StanceError("targets: want a list of targets, found one")
    return targets if isinstance(targets, str) else tuple(targets)


def _reading_order(target: Target) -> tuple[Any, ...]:
    """By length, then by all that tells two targets of one article apart."""
    return len(target.text), target.text, target.kind, target.mentions


def _scatter(
    window: Window, facets: FloatArray, stance: FloatArray, spans: FloatArray, out: ArticleLogits
) -> None:
    """Put one window's logits at the sentences it owns."""
    for row, (number, (start, end), owned) in enumerate(window.sentences):
        if not owned:
            continue
        if window.first_group:
            out.facets[number] = facets[row]
            out.spans[number] = (window.offsets[start:end], spans[start:end])
        for column, (target, _) in enumerate(window.targets):
            out.stance[number, target] = stance[row, column]


def facet_label(facet: Facet, probs: FloatArray, chosen: int) -> Label:
    """The label of one facet from its probabilities, with the probability of what is said.

    For a multi facet the labels of probability 0.5 or more; the score is that of the whole set.

    Args:
        chosen: the number of the label to give; of no use for a multi facet.
    """
    values: list[float] = probs.tolist()
    named = {label_key(label): p for label, p in zip(facet.labels, values, strict=True)}
    if facet.kind == "single":
        return Label(facet.labels[chosen], values[chosen], named)
    held = tuple(str(label) for label, p in zip(facet.labels, values, strict=True) if p >= 0.5)
    return Label(held, float(np.where(probs >= 0.5, probs, 1 - probs).prod()), named)


def label_key(label: str | bool) -> str:
    """A label as the key of a `probs` object."""
    return str(label).lower() if isinstance(label, bool) else label


def find_model(model: str | Path) -> Path:
    """The folder of a model: the path itself, the package's own, or a download of a Hub id.

    Raises:
        StanceError: there is no such folder, and the name is no Hub id that can be fetched.
    """
    if model == DEFAULT_MODEL:
        return bundled("assets/model")
    folder = Path(model)
    if folder.is_dir():
        return folder
    if folder.is_absolute() or str(model).count("/") != 1 or str(model).startswith("."):
        raise StanceError(f"{model}: there is no such model folder")
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(str(model), allow_patterns=list(HUB_FILES)))
    except Exception as error:
        raise StanceError(
            f"{model}: there is no such model folder, and fetching it from the Hub failed: {error}"
        ) from error


def copy_model(folder: Path, target: Path) -> None:
    """Copy what belongs to a model into another folder, and nothing else that lies beside it."""
    target.mkdir(parents=True, exist_ok=True)
    for pattern in HUB_FILES:
        for path in folder.glob(pattern):
            copy = target / path.name
            if not (copy.exists() and copy.samefile(path)):
                shutil.copyfile(path, copy)


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a model folder; raises `StanceError` if it is not of this package."""
    path = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StanceError(f"{path}: there is no such file, so this is no model folder") from None
    except ValueError as error:
        raise StanceError(f"{path}: not JSON: {error}") from None
    if not isinstance(config, dict):
        raise StanceError(f"{path}: want a JSON object")
    missing = [name for name in ("schema", "encoding", "special_tokens") if name not in config]
    if config.get("model_type") != "stance" or missing:
        raise StanceError(
            f"{path}: this is not a model of the stance package (model_type "
            f"{config.get('model_type')!r})"
        )
    return config


def model_name(folder: Path) -> str:
    """Name, version and the first digits of the hash of the weights."""
    config = read_config(folder)
    name = config.get("name") or folder.name
    parts = (str(name), str(config.get("version") or ""), weights_hash(folder)[:8])
    return " ".join(part for part in parts if part)


def read_export(folder: Path) -> dict[str, Any]:
    """What `export.json` of a model folder tells of its ONNX files, if it has one."""
    path = folder / "export.json"
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise StanceError(f"{path}: not JSON: {error}") from None
    return record


def weights_hash(folder: Path) -> str:
    """The SHA-256 of a folder's weights, or of those that its ONNX files were made of."""
    weights = folder / "model.safetensors"
    return file_hash(weights) if weights.is_file() else str(read_export(folder).get("weights", ""))
