"""The Hub's caches with contents made up here, laid out as huggingface_hub and datasets lay them out."""

import json
import shutil
from pathlib import Path

import datasets

COMMIT, OTHER_COMMIT = "a" * 40, "b" * 40


def cache_model(
    home: Path, name: str, files: dict[str, bytes], commit: str = COMMIT, reference: str | None = "main"
) -> Path:
    """A model in ``home/hub``: blobs, links to them in a snapshot, and what ``reference`` points to. Returns the snapshot."""
    repository = home / "hub" / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    for folder in (repository / "blobs", repository / "refs", snapshot):
        folder.mkdir(parents=True, exist_ok=True)
    if reference is not None:
        (repository / "refs" / reference).write_text(commit)
    for number, (file, content) in enumerate(files.items()):
        blob = repository / "blobs" / f"{commit[:8]}{number:032x}"
        blob.write_bytes(content)
        (snapshot / file).symlink_to(Path("../../blobs") / blob.name)
    return snapshot


def folder_files(folder: Path) -> dict[str, bytes]:
    """Contents of a model's folder by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def cache_dataset(
    home: Path, name: str, splits: dict[str, list[dict]], configuration: str = "default", commit: str = COMMIT
) -> Path:
    """A data set in ``home/datasets`` as ``load_dataset`` prepares it from the Hub: written by ``datasets`` from a local folder, then
    moved to where a repository's commit lies. Returns the prepared folder."""
    user, _, short = name.partition("/")
    source, made = home / "made" / short, home / "made" / "cache"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    for split, rows in splits.items():
        (source / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    files = "".join(f"  - split: {split}\n    path: {split}.jsonl\n" for split in splits)
    (source / "README.md").write_text(f"---\nconfigs:\n- config_name: {configuration}\n  data_files:\n{files}---\n")
    datasets.load_dataset(str(source), configuration, cache_dir=str(made))
    prepared = next((made / short / configuration).glob("*/*/dataset_info.json")).parent
    target = home / "datasets" / f"{user}___{short}" / configuration / "0.0.0" / commit
    target.parent.mkdir(parents=True, exist_ok=True)
    prepared.rename(target)
    shutil.rmtree(home / "made")
    return target
