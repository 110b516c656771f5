"""Takes labelled articles; gives Label Studio tasks and their labelling config, and the way back.

A sentence is a region of the text with the label `sentence`; its facets, its stance toward each
target and its speaker belong to that region. Spans are regions labelled with their track.

Label Studio counts code points in a `Text`, as records do (its own end-to-end tests hold it to
that, docs/annotating.md). Early releases and other tools that run in a browser count UTF-16 code
units; both can be written, and an export that counts them is known by the text of its regions.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from stance.corpora import clip, labels_of
from stance.errors import RecordError, StanceError
from stance.readers import parse_json
from stance.records import Article, Label, Sentence, Span, Stance
from stance.schema import Facet, Schema
from stance.segment import segment

TEXT, REGION, SENTENCE, SPEAKER = "text", "region", "sentence", "speaker"
COLOURS = ("#2f6fb7", "#d9822b", "#3d9950", "#8e5bb5", "#b8405e", "#7a7a2f")
"""Of the span tracks; sentences are grey, so that spans stand out on them."""


# The labelling config


def labelling_config(schema: Schema, targets: int) -> str:
    """The labelling config (XML) for a project whose articles have up to `targets` targets.

    Raises:
        StanceError: a facet or a track has a name that the config needs for itself.
    """
    taken = [TEXT, REGION, SPEAKER, *(stance_control(n) for n in range(targets))]
    for name in [facet.name for facet in schema.facets]:
        if name in taken:
            raise StanceError(f"facet {name!r}: the labelling config has a control of that name")
    if SENTENCE in schema.spans:
        raise StanceError(f"the labelling config cannot have a track called {SENTENCE!r}")
    root = ET.Element("View", style="display: flex; gap: 2em; align-items: flex-start")
    left = ET.SubElement(root, "View", style="flex: 3")
    labels = ET.SubElement(left, "Labels", name=REGION, toName=TEXT)
    ET.SubElement(labels, "Label", value=SENTENCE, background="#8a8f98")
    for number, track in enumerate(schema.spans):
        ET.SubElement(labels, "Label", value=track, background=COLOURS[number % len(COLOURS)])
    ET.SubElement(left, "Header", value="$title", size="4")
    ET.SubElement(left, "Text", name=TEXT, value="$text", granularity="word")
    side = ET.SubElement(root, "View", style="flex: 2; position: sticky; top: 0")
    ET.SubElement(side, "Header", value="Click a sentence: its labels are here.", size="5")
    right = ET.SubElement(
        side, "View", visibleWhen="region-selected", whenTagName=REGION, whenLabelValue=SENTENCE
    )
    for facet in schema.facets:
        choice = "multiple" if facet.kind == "multi" else "single-radio"
        _choices(right, facet.name, facet.name, choice, map(choice_name, facet.labels))
    for number in range(targets):
        title = f"toward: $target_{number + 1}"
        _choices(right, title, stance_control(number), "single-radio", schema.stance)
    ET.SubElement(right, "Header", value="speaker", size="5")
    ET.SubElement(
        right,
        "TextArea",
        {"name": SPEAKER, "toName": TEXT, "perRegion": "true", "editable": "true"}
        | {"maxSubmissions": "1", "rows": "1", "placeholder": "as the article names them"},
    )
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _choices(parent: ET.Element, title: str, name: str, choice: str, values: Iterable[str]) -> None:
    ET.SubElement(parent, "Header", value=title, size="5")
    attributes = {"name": name, "toName": TEXT, "perRegion": "true", "choice": choice}
    box = ET.SubElement(parent, "Choices", {**attributes, "showInline": "true"})
    for value in values:
        ET.SubElement(box, "Choice", value=value)


def stance_control(target: int) -> str:
    """Name of the control for the stance toward target number `target` (from 0)."""
    return f"stance_{target + 1}"


def choice_name(label: str | bool) -> str:
    """A facet's label as it stands in the labelling config."""
    return json.dumps(label) if isinstance(label, bool) else label


# Articles to tasks


def to_task(
    article: Article,
    schema: Schema,
    targets: int,
    *,
    score: float | None = None,
    utf16: bool = False,
) -> dict[str, Any]:
    """A task with the article's labels as its prediction.

    The whole record goes along in `data.record` (without the text, which is in `data.text`), so
    that nothing of it is lost on the way back.

    Args:
        targets: the number of targets that the labelling config offers.
        score: how sure the model is, from 0 to 1; Label Studio can sort by it.
        utf16: count offsets in UTF-16 code units.
    """
    record = article.to_dict(probs=False)
    names = [_target_name(target.kind, target.text) for target in article.targets]
    data = {
        "text": record.pop("text"),
        "title": article.title or article.id or "",
        **{f"target_{n + 1}": names[n] if n < len(names) else "–" for n in range(targets)},
        "record": record,
    }
    positions = utf16_positions(article.text) if utf16 else range(len(article.text) + 1)
    result = [
        row for n, s in enumerate(article.sentences or ()) for row in _results(f"s{n}", s, schema)
    ]
    for row in result:
        value = row["value"]
        value["start"], value["end"] = positions[value["start"]], positions[value["end"]]
    prediction: dict[str, Any] = {"model_version": article.model or "", "result": result}
    if score is not None:
        prediction["score"] = score
    return {"data": data, "predictions": [prediction]}


def _target_name(kind: str, text: str) -> str:
    return text if kind == "entity" else f"the {kind} “{text}”"


def _results(key: str, sentence: Sentence, schema: Schema) -> Iterator[dict[str, Any]]:
    """The results of one sentence: its region, what belongs to it, and its spans."""

    def item(kind: str, name: str, values: Sequence[str], score: float | None = None) -> Any:
        value = {"start": sentence.start, "end": sentence.end, "text": sentence.text}
        place = "text" if kind == "textarea" else kind
        return _result(key, name, kind, {**value, place: list(values)}, score)

    yield item("labels", REGION, [SENTENCE])
    for facet in schema.facets:
        label = sentence.facets.get(facet.name)
        if label is not None and labels_of(label):
            yield item("choices", facet.name, [*map(choice_name, labels_of(label))], label.score)
    for stance in sentence.stance:
        yield item("choices", stance_control(stance.target), [stance.label], stance.score)
    if sentence.speaker is not None:
        yield item("textarea", SPEAKER, [sentence.speaker])
    for track in schema.spans:
        for number, (start, end) in enumerate(_own_spans(sentence, track)):
            text = sentence.text[start - sentence.start : end - sentence.start]
            value = {"start": start, "end": end, "text": text, "labels": [track]}
            yield _result(f"{key}-{track}-{number}", REGION, "labels", value, None)


def _result(
    key: str, name: str, kind: str, value: dict[str, Any], score: float | None
) -> dict[str, Any]:
    row = {"id": key, "from_name": name, "to_name": TEXT, "type": kind, "value": value}
    return row if score is None else {**row, "score": score}


def _own_spans(sentence: Sentence, track: str) -> list[Span]:
    """The spans of a track inside the sentence, in order."""
    spans = (sentence.spans or {}).get(track, ())
    return sorted(set(clip(spans, sentence.start, sentence.end)))


def utf16_positions(text: str) -> list[int]:
    """For every code point of the text, and its end, how many UTF-16 code units lie before it."""
    return list(accumulate((2 if char > "\uffff" else 1 for char in text), initial=0))


# Exports to articles


@dataclass
class _Region:
    """What an annotation says about one stretch of the text (None: about the whole task)."""

    span: Span | None
    labels: list[str] = field(default_factory=list)
    choices: dict[str, list[str]] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)


def read_export(
    path: Path, schema: Schema, *, annotator: str | None = None
) -> Iterator[Callable[[], Article]]:
    """For each task of an export (JSON), what makes the corrected article or raises `RecordError`.

    Args:
        annotator: take the annotations of this person (id or e-mail address), for tasks that
            several have done.

    Raises:
        StanceError: there is no such file.
        RecordError: the file is no export in the form "JSON".
    """
    if not path.is_file():
        raise StanceError(f"{path}: there is no such file")
    tasks = parse_json(path.read_bytes())
    if not isinstance(tasks, list):
        raise RecordError('not a list of tasks: export the project in the form "JSON"')
    for number, task in enumerate(tasks):
        yield partial(_placed, f"[{number}]", from_task, task, schema, annotator)


def _placed(place: str, make: Callable[..., Any], *arguments: Any) -> Any:
    """Call `make`; the field of a `RecordError` gets `place` before it."""
    try:
        return make(*arguments)
    except RecordError as error:
        inner = f"{place}.{error.field}".rstrip(".").replace(".[", "[")
        raise RecordError(error.reason, field=inner) from None


def from_task(task: object, schema: Schema, annotator: str | None = None) -> Article:
    """The article of one exported task, as its annotator left it.

    A label that was left as it was stays what it was in the record, with its score; one that was
    changed is a plain label. Tags follow from the facets. A task that did not come from `to_task`
    needs its text in `data.text`: docs/importing.md says what is read from it.

    Raises:
        RecordError: naming the field; also for a task that nobody annotated.
    """
    if not isinstance(task, Mapping) or not isinstance(task.get("data"), Mapping):
        raise RecordError('want a task with "data": export in the form "JSON", not "JSON-MIN"')
    article = _placed("data", _exported, task["data"])
    number, annotation = _annotation(task, annotator)
    place = f"annotations[{number}]"
    regions = _placed(place, _regions, annotation.get("result"), article, schema)
    build = _corrected if "record" in task["data"] else _foreign
    corrected: Article = _placed(place, build, article, regions, schema)
    return corrected


def _exported(data: Mapping[str, Any]) -> Article:
    record = data.get("record")
    if record is None:
        known = {name: data[name] for name in ("id", "title", "date", "publisher") if name in data}
        targets = data.get("targets") or ([data["target"]] if data.get("target") else None)
        return Article.from_dict({**known, "text": data.get("text"), "targets": targets})
    if not isinstance(record, Mapping):
        raise RecordError("want an object", field="record")
    return Article.from_dict({**record, "text": data.get("text")})


def _annotation(task: Mapping[str, Any], annotator: str | None) -> tuple[int, Mapping[str, Any]]:
    """The one annotation of a task that counts, with its number."""
    given = task.get("annotations")
    if not isinstance(given, list) or not all(isinstance(entry, Mapping) for entry in given):
        raise RecordError("want a list of annotations", field="annotations")
    if not given:
        raise RecordError("nobody has annotated the task", field="annotations")
    done = [(n, entry) for n, entry in enumerate(given) if not entry.get("was_cancelled")]
    if not done:
        raise RecordError("the task was skipped by its annotator", field="annotations")
    if annotator is not None:
        done = [pair for pair in done if annotator in _people(pair[1].get("completed_by"))]
        if not done:
            raise RecordError(f"no annotation of {annotator!r}", field="annotations")
    truths = [pair for pair in done if pair[1].get("ground_truth")]
    chosen = truths if len(truths) == 1 else done
    if len(chosen) > 1:
        people = sorted({name for _, entry in done for name in _people(entry.get("completed_by"))})
        raise RecordError(
            f"{len(done)} annotations, of {', '.join(people)}: say whose to take (annotator), or "
            "mark one as ground truth",
            field="annotations",
        )
    return chosen[0]


def _people(completed_by: object) -> list[str]:
    """Names of an annotator: exports give the id, or an object with id and e-mail address."""
    if isinstance(completed_by, Mapping):
        names = [completed_by.get("id"), completed_by.get("email")]
        return [str(name) for name in names if name is not None]
    return [] if completed_by is None else [str(completed_by)]


def _regions(result: object, article: Article, schema: Schema) -> list[_Region]:
    """The regions of an annotation by their place; what is said of the whole task comes first."""
    if not isinstance(result, list):
        raise RecordError("want a list", field="result")
    regions: dict[str | None, _Region] = {}
    span_of = _span_reader(result, article.text)
    for number, row in enumerate(result):
        _placed(f"result[{number}]", _add_result, regions, row, span_of, article, schema)
    return sorted(regions.values(), key=lambda region: region.span or (-1, -1))


def _add_result(
    regions: dict[str | None, _Region],
    row: object,
    span_of: Callable[[Mapping[str, Any]], Span | None],
    article: Article,
    schema: Schema,
) -> None:
    if not isinstance(row, Mapping) or not isinstance(row.get("value"), Mapping):
        kind = row.get("type") if isinstance(row, Mapping) else None
        raise RecordError(
            "a relation between regions has no place in a record"
            if kind == "relation"
            else "want an object with a 'value'"
        )
    value, kind, name = row["value"], row.get("type"), str(row.get("from_name"))
    span = _placed("value", span_of, value)
    key = None if span is None else str(row.get("id") or span)
    region = regions.setdefault(key, _Region(span))
    if region.span != span:
        raise RecordError(f"two places for the region {key!r}", field="value")
    values = value.get("text" if kind == "textarea" else str(kind))
    if not isinstance(values, list) or not all(isinstance(entry, str) for entry in values):
        raise RecordError("want a list of strings", field=f"value.{kind}")
    facets = [facet.name for facet in schema.facets]
    stances = ["stance", *(stance_control(n) for n in range(len(article.targets)))]
    if kind == "labels":
        known = {track.lower(): track for track in (SENTENCE, *schema.spans)}
        for entry in values:
            if entry.lower() not in known:
                raise RecordError(f"{entry!r} is none of {', '.join(known)}", field="value.labels")
            region.labels.append(known[entry.lower()])
    elif kind == "choices" and name in (*facets, *stances):
        region.choices[name] = values
    elif kind == "textarea" and name == SPEAKER:
        region.texts[name] = values
    elif kind == "choices" and name.startswith("stance_"):
        raise RecordError(
            f"{name}: the article has {len(article.targets)} targets", field="from_name"
        )
    else:
        want = ", ".join((REGION, *facets, stance_control(0), SPEAKER))
        raise RecordError(
            f"the schema has nothing for the control {name!r} of type {kind!r} (it has {want})",
            field="from_name",
        )


def _span_reader(result: Sequence[Any], text: str) -> Callable[[Mapping[str, Any]], Span | None]:
    """What turns the offsets of a value into code points.

    They are taken for UTF-16 code units only where the regions' own texts say so. Raises
    `RecordError` if neither fits: then the text is not the one that was annotated.
    """
    units = utf16_positions(text)
    readers = (
        partial(_span, length=len(text), convert=lambda offset: offset),
        partial(_span, length=units[-1], convert=partial(_code_point, units)),
    )
    # The text of a text area is what somebody typed, a list.
    values = [row["value"] for row in result if isinstance(row, Mapping) and "value" in row]
    telling = [v for v in values if isinstance(v, Mapping) and isinstance(v.get("text"), str)]
    for read in readers:
        if all(_reads(read, value, text) for value in telling):
            return read
    wrong = next(value for value in telling if not _reads(readers[0], value, text))
    raise RecordError(
        f"the region {wrong['text']!r} is not the text from {wrong.get('start')} to "
        f"{wrong.get('end')}",
        field="result",
    )


def _reads(
    read: Callable[[Mapping[str, Any]], Span | None], value: Mapping[str, Any], text: str
) -> bool:
    """Whether the span that is read from the value has the value's text."""
    try:
        span = read(value)
    except RecordError:
        return False
    return span is None or _letters(text[slice(*span)]) == _letters(value["text"])


def _letters(text: str) -> str:
    """Letters and digits: line breaks and white space differ between a page and its source."""
    return "".join(filter(str.isalnum, text.replace("\\n", "\n")))


def _span(value: Mapping[str, Any], length: int, convert: Callable[[int], int]) -> Span | None:
    if "start" not in value and "end" not in value:
        return None
    offsets: list[int] = []
    for name in ("start", "end"):
        offset = value.get(name)
        if not isinstance(offset, int) or isinstance(offset, bool):
            raise RecordError(f"want an offset, found {offset!r}", field=name)
        offsets.append(offset)
    start, end = offsets
    if not 0 <= start < end <= length:
        raise RecordError(f"[{start}, {end}] is not a span of a text of length {length}")
    return convert(start), convert(end)


def _code_point(units: Sequence[int], offset: int) -> int:
    position = bisect_left(units, offset)
    if units[position] != offset:
        raise RecordError(f"the offset {offset} is inside of a character")
    return position


def _corrected(article: Article, regions: Sequence[_Region], schema: Schema) -> Article:
    """The article with the sentences and labels of an annotation in place of its own."""
    _check_owners(regions, article)
    before = {(sentence.start, sentence.end): sentence for sentence in article.sentences or ()}
    sentences: list[Sentence] = []
    for region in regions:
        if SENTENCE in region.labels and region.span is not None:
            new = Sentence(*region.span, article.text[slice(*region.span)])
            old = before.get(region.span, new)
            sentences.append(_sentence(old, region, article, schema))
    _check_apart(sentences)
    return replace(article, sentences=_with_spans(sentences, regions, article, schema))


def _foreign(article: Article, regions: Sequence[_Region], schema: Schema) -> Article:
    """The article of a task that this package did not write.

    Its sentences are the regions with the label `sentence`; without any, the text as a whole where
    the choices are about the task, and else what the segmenter finds.
    """
    if any(SENTENCE in region.labels for region in regions):
        return _corrected(article, regions, schema)
    text = article.text
    about_task = [region for region in regions if region.span is None]
    _check_owners([region for region in regions if region.span is not None], article)
    if about_task and text.strip():
        start = len(text) - len(text.lstrip())
        whole = Sentence(start, start + len(text.strip()), text.strip())
        sentences = [_sentence(whole, about_task[0], article, schema)]
    else:
        sentences = [Sentence(start, end, text[start:end]) for start, end in segment(text)]
    return replace(article, sentences=_with_spans(sentences, regions, article, schema))


def _check_owners(regions: Sequence[_Region], article: Article) -> None:
    for region in regions:
        if SENTENCE not in region.labels and (region.choices or region.texts):
            raise RecordError(
                f"labels of a sentence on a region that is none ({_quote(region, article)})",
                field="result",
            )


def _check_apart(sentences: Sequence[Sentence]) -> None:
    for left, right in pairwise(sentences):
        if right.start < left.end:
            raise RecordError(
                f"two sentences overlap: {left.text!r} and {right.text!r}", field="result"
            )


def _quote(region: _Region, article: Article) -> str:
    return "the whole task" if region.span is None else repr(article.text[slice(*region.span)])


def _sentence(old: Sentence, region: _Region, article: Article, schema: Schema) -> Sentence:
    """The sentence with the labels of its region; those that say the same as before are kept."""
    facets = dict(old.facets)
    for facet in schema.facets:
        label = _facet_label(facet, region.choices.get(facet.name, []), facets.get(facet.name))
        if label is None:
            facets.pop(facet.name, None)
        else:
            facets[facet.name] = label
    tags, probabilities = old.tags, old.tag_probs
    if facets != old.facets:
        known = schema.facets_of_tags() <= set(facets)
        labels = {name: label.label for name, label in facets.items()}
        tags, probabilities = tuple(schema.tags_of(labels)) if known else None, None
    speakers = [text.strip() for text in region.texts.get(SPEAKER, []) if text.strip()]
    if len(speakers) > 1:
        raise RecordError(f"two speakers of one sentence: {', '.join(speakers)}", field="result")
    same = speakers == ([] if old.speaker is None else [old.speaker.strip()])
    return replace(
        old,
        facets=facets,
        tags=tags,
        tag_probs=probabilities,
        stance=_stances(old, region, article, schema),
        speaker=old.speaker if same else next(iter(speakers), None),
    )


def _facet_label(facet: Facet, values: Sequence[str], old: Label | None) -> Label | None:
    known = {choice_name(label): label for label in facet.labels}
    unknown = [value for value in values if value not in known]
    if unknown or (facet.kind == "single" and len(values) > 1):
        raise RecordError(
            f"{facet.name}: {', '.join(unknown or values)} "
            f"{'is none' if unknown else 'are more than one'} of {', '.join(known)}",
            field="result",
        )
    if old is not None and set(map(choice_name, labels_of(old))) == set(values):
        return old
    chosen = tuple(label for name, label in known.items() if name in values)
    if facet.kind == "multi":
        return Label(tuple(map(str, chosen))) if chosen or old else None
    return Label(chosen[0]) if chosen else None


def _stances(
    old: Sentence, region: _Region, article: Article, schema: Schema
) -> tuple[Stance, ...]:
    stances: list[Stance] = []
    for target in range(len(article.targets)):
        name = stance_control(target)
        values = region.choices.get(name, [])
        if not values and len(article.targets) == 1:
            values = region.choices.get("stance", [])
        before = old.stance_toward(target)
        if len(values) > 1 or not set(values) <= set(schema.stance):
            raise RecordError(
                f"{name}: {', '.join(values)}: want one of {', '.join(schema.stance)}",
                field="result",
            )
        if before is not None and [before.label] == values:
            stances.append(before)
        elif values:
            stances.append(Stance(target, values[0]))
    return tuple(stances)


def _with_spans(
    sentences: Sequence[Sentence], regions: Sequence[_Region], article: Article, schema: Schema
) -> tuple[Sentence, ...]:
    """The sentences with the spans of their tracks; a span over two sentences is cut in two.

    A sentence without a span has known, empty tracks if spans were marked in the article at all.
    """
    marked: dict[str, list[Span]] = {track: [] for track in schema.spans}
    for region in regions:
        if region.span is not None:
            for track in set(region.labels) - {SENTENCE}:
                marked[track].append(region.span)
                if not any(clip([region.span], s.start, s.end) for s in sentences):
                    raise RecordError(
                        f"a span lies in no sentence: {_quote(region, article)}", field="result"
                    )
    before = {(old.start, old.end): old for old in article.sentences or ()}
    known = any(old.spans is not None for old in before.values())
    result: list[Sentence] = []
    for sentence in sentences:
        new = {
            track: sorted(set(clip(spans, sentence.start, sentence.end)))
            for track, spans in marked.items()
        }
        same = all(spans == _own_spans(sentence, track) for track, spans in new.items())
        fresh = known and (sentence.start, sentence.end) not in before
        if not same or fresh or (any(marked.values()) and not known):
            tracks = {track: tuple(spans) for track, spans in new.items()}
            sentence = replace(sentence, spans={**(sentence.spans or {}), **tracks})
        result.append(sentence)
    return tuple(result)
