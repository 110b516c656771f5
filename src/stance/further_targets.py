"""Takes labelled articles; gives them with further targets, labelled apart from their text.

`data/further_targets/<corpus>.train.jsonl` has an article a line: its id, the SHA-256 of its
text, the number of its sentences, and targets: entities with a text (see `stance.standoff.apart`)
and the numbers of the sentences in `favor` of them and `against` them; all others are neutral.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stance.errors import RecordError, StanceError
from stance.readers import read_records
from stance.records import Article, Stance, Target
from stance.resources import bundled
from stance.standoff import sha256, together


def further_targets_file(corpus: str) -> Path:
    """The file with the further targets of a corpus; raises `StanceError` where there is none."""
    path = bundled("data/further_targets") / f"{corpus}.train.jsonl"
    if not path.is_file():
        raise StanceError(f"corpus.further_targets: the corpus {corpus!r} has none")
    return path


def add_further_targets(articles: Sequence[Article], path: Path) -> list[Article]:
    """The articles, those that the file names (by id) with its targets after their own.

    Raises:
        StanceError: naming the file and line, where the article has another text or other
            sentences than those that were labelled, or the line is not as the module says.
    """
    rows = {str(row.get("id")): (line, row) for line, row in read_records(path)}
    result: list[Article] = []
    for article in articles:
        line, row = rows.get(article.id or "", (0, None))
        if row is None:
            result.append(article)
            continue
        try:
            result.append(_with_targets(article, row))
        except RecordError as error:
            raise error.at(path, line) from None
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise RecordError(f"not further targets: {error!r}", path=path, line=line) from error
    return result


def _with_targets(article: Article, row: Mapping[str, Any]) -> Article:
    sentences = article.sentences or ()
    if sha256(article.text) != row["sha256"] or len(sentences) != row["sentences"]:
        raise RecordError(f"article {article.id} is not the text that was labelled", field="sha256")
    targets = list(article.targets)
    stances = [list(sentence.stance) for sentence in sentences]
    for further in row["targets"]:
        labels = dict.fromkeys(range(len(sentences)), "neutral")
        for label in ("favor", "against"):
            for number in further[label]:
                if number not in labels:
                    raise RecordError(f"no sentence has number {number!r}", field=label)
                labels[number] = label
        for number, label in labels.items():
            stances[number].append(Stance(len(targets), label))
        targets.append(Target(together(further["text"], article.text)))
    return replace(
        article,
        targets=tuple(targets),
        sentences=tuple(
            replace(sentence, stance=tuple(own))
            for sentence, own in zip(sentences, stances, strict=True)
        ),
    )
