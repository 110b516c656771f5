"""Takes spaCy documents; gives them back with labels: the component `stance` of a pipeline.

`nlp.add_pipe("stance")` finds it by its entry point; config={"model": FOLDER} names another model.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from spacy.language import Language
from spacy.tokens import Doc, Span

from stance.records import Article
from stance.tagger import DEFAULT_MODEL, Tagger, copy_model, find_model

CONFIG: dict[str, Any] = {
    "model": DEFAULT_MODEL,
    "targets": [],
    "backend": "auto",
    "device": "auto",
    "threads": None,
}


class StanceComponent:
    """Labels the sentences of documents; the model is loaded when it is first needed.

    Args:
        settings: what `Tagger.from_pretrained` takes beside the model.
        model: what `Tagger.from_pretrained` takes.
        targets: added to those of each document, or "auto".
    """

    def __init__(self, model: str, targets: str | list[Any], settings: Mapping[str, Any]) -> None:
        self.model = model
        self.targets = targets
        self.settings = settings
        self._tagger: Tagger | None = None

    @property
    def tagger(self) -> Tagger:
        """The tagger; raises `StanceError` if the model is not there."""
        if self._tagger is None:
            self._tagger = Tagger.from_pretrained(self.model, **self.settings)
        return self._tagger

    def __getstate__(self) -> dict[str, Any]:
        """What a process of `nlp.pipe(n_process=…)` gets; it loads the model for itself."""
        return {**vars(self), "_tagger": None}

    def __call__(self, doc: Doc) -> Doc:
        """Label one document."""
        return next(self.pipe([doc]))

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 0) -> Iterator[Doc]:
        """Label a stream of documents, in order; batches are the tagger's (`batch_size` is not)."""
        waiting: deque[Doc] = deque()

        def articles() -> Iterator[Article]:
            for doc in stream:
                waiting.append(doc)
                yield read_doc(doc)

        for article in self.tagger.tag_many(articles(), self.targets):
            doc = waiting.popleft()
            write_doc(doc, article)
            yield doc

    def to_disk(self, path: str | Path, exclude: Iterable[str] = ()) -> None:
        """Write the model's files into the pipeline's folder."""
        copy_model(find_model(self.model), Path(path))

    def from_disk(self, path: str | Path, exclude: Iterable[str] = ()) -> Self:
        """Take the model from the pipeline's folder."""
        self.model, self._tagger = str(path), None
        return self


@Language.factory("stance", assigns=["doc._.stance"], default_config=CONFIG)
def make_stance(
    nlp: Language,
    name: str,
    model: str,
    targets: str | list[str | dict[str, Any]],
    backend: str,
    device: str,
    threads: int | None,
) -> StanceComponent:
    """The component `stance` from its config (see `StanceComponent`)."""
    settings = {"backend": backend, "device": device, "threads": threads}
    return StanceComponent(model, targets, settings)


def read_doc(doc: Doc) -> Article:
    """The article of a document: its targets, and its sentences where the pipeline has set them."""
    record: dict[str, Any] = {"text": doc.text, "targets": doc._.stance_targets}
    if doc.has_annotation("SENT_START"):
        record["sentences"] = [
            {"start": start, "end": start + len(body)}
            for sent in doc.sents
            if (body := sent.text.strip())
            for start in [sent.start_char + sent.text.index(body)]
        ]
    return Article.from_dict(record)


def write_doc(doc: Doc, article: Article) -> None:
    """Keep the record with the document, and our sentences where it has none."""
    doc._.stance = article.to_dict(probs=False)
    if not doc.has_annotation("SENT_START"):
        starts = [sentence.start for sentence in article.sentences or ()][1:]
        for token in doc:
            end = token.idx + len(token)
            token.is_sent_start = token.i == 0 or bool(starts and starts[0] < end)
            while starts and starts[0] < end:
                starts.pop(0)


def sentence_of(span: Span) -> dict[str, Any] | None:
    """The record of the sentence that a span lies in, of several that it has most of."""
    record = span.doc._.stance or {}
    shared = [
        (min(s["end"], span.end_char) - max(s["start"], span.start_char), -s["start"], number)
        for number, s in enumerate(record.get("sentences", ()))
    ]
    most, _, number = max(shared, default=(0, 0, 0))
    sentence: dict[str, Any] | None = record["sentences"][number] if most > 0 else None
    return sentence


def stance_toward(span: Span, target: str) -> str | None:
    """The stance of the span's sentence toward a target, None where there is none."""
    sentence = sentence_of(span) or {}
    names = [entry["text"] for entry in (span.doc._.stance or {}).get("targets", ())]
    for row in sentence.get("stance", ()):
        if names[row["target"]] == target:
            return str(row["label"])
    return None


def add_extensions() -> None:
    """Give documents and spans their attributes (see docs/integrations.md)."""
    Doc.set_extension("stance", default=None, force=True)
    Doc.set_extension("stance_targets", default=None, force=True)
    Span.set_extension("stance", getter=sentence_of, force=True)
    Span.set_extension("stance_tags", getter=lambda span: sentence_field(span, "tags"), force=True)
    Span.set_extension(
        "stance_speaker", getter=lambda span: sentence_field(span, "speaker"), force=True
    )
    Span.set_extension("stance_toward", method=stance_toward, force=True)


def sentence_field(span: Span, name: str) -> Any:
    """A field of the record of the span's sentence, None where it has none."""
    return (sentence_of(span) or {}).get(name)


add_extensions()
