"""A metric of this project as a Space on the Hub: its folder, complete in itself, and its publication as one commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenhand.evaluation.modules import module_path
from evenhand.model_cards.facts import is_hub_id
from evenhand.model_cards.hub.library_sources import flat_sources
from evenhand.model_cards.whole_folders import whole_folder

CARD, PAGE, REQUIREMENTS = "README.md", "app.py", "requirements.txt"
# What a Space that nobody has filled holds.
FRESH_SPACE = {".gitattributes", CARD}


@dataclass(frozen=True)
class MetricSpace:
    """A staged metric, and what became of it on the Hub.

    ``url`` is the commit's, ``None`` after a dry run; ``changed`` says whether the Hub's files are others than before.
    """

    repo_id: str
    folder: Path
    files: tuple[str, ...]
    url: str | None = None
    changed: bool = False

    def summary(self) -> str:
        """For people: the files, and what was done."""
        sizes = [(name, (self.folder / name).stat().st_size) for name in self.files]
        width = max(len(name) for name in self.files)
        listing = [f"  {name:<{width}}  {size:>7,} bytes" for name, size in sizes]
        if self.url is None:
            done = f"Dry run: nothing was published. The Space {self.repo_id} would hold {self.folder}:"
        elif self.changed:
            done = f"Published {self.folder} as the Space {self.repo_id} ({self.url}):"
        else:
            done = f"The Space {self.repo_id} already holds {self.folder} ({self.url}); nothing was changed:"
        return "\n".join([done, *listing, f'Load it with evaluate.load("{self.repo_id}").'])


def publish_metric(
    name: str,
    repo_id: str,
    folder: str | Path,
    *,
    dry_run: bool = False,
    private: bool = False,
    api: Any = None,
) -> MetricSpace:
    """Stage a metric into ``folder`` and publish it as the Space ``repo_id``, in one commit.

    Doing it again changes nothing on the Hub, unless the metric has changed.

    Args:
        name: ``"seat"`` or ``"glue"``.
        repo_id: ``"user/seat"``; the part after the slash must be ``name``, as `evaluate` looks for a script so named.
        folder: where to stage; new, empty, or staged before.
        dry_run: stage only; no login is needed and no network is used.
        private: make a Space that does not exist yet a private one.
        api: what speaks to the Hub; a `huggingface_hub.HfApi` by default, which takes the token of the user's login.

    Raises:
        ValueError: no such metric, a repo_id that cannot be used, or a folder or Space that holds something else.
        RuntimeError: no login, or the Hub refuses or cannot be reached.
    """
    check_repo_id(name, repo_id)
    staged = stage_metric(name, repo_id, folder)
    files = tuple(sorted(path.name for path in staged.iterdir()))
    if dry_run:
        return MetricSpace(repo_id, staged, files)
    if api is None:
        from huggingface_hub import HfApi

        api = HfApi()
    url, changed = _push(name, repo_id, staged, files, private, api)
    return MetricSpace(repo_id, staged, files, url, changed)


def check_repo_id(name: str, repo_id: str) -> None:
    """Raise ValueError unless ``repo_id`` can be the Space of the metric ``name``."""
    module_path(name)
    owner, _, space = repo_id.partition("/")
    if not owner or not space or not is_hub_id(repo_id):
        raise ValueError(f"{repo_id!r} is no name for a Space; use OWNER/{name}, with your name on the Hub for OWNER")
    if space != name:
        raise ValueError(
            f"the Space must be called {owner}/{name}: evaluate loads the script that has the Space's name"
        )


def stage_metric(name: str, repo_id: str, folder: str | Path) -> Path:
    """Make the folder of the Space: card, page, requirements, the metric and the library files that it needs.

    The metric's imports are made relative (see `flat_sources`), so the folder works where evenhand is not installed,
    and the card loads the metric from ``repo_id``. The same arguments give the same bytes.

    Returns:
        ``folder`` as an absolute path.

    Raises:
        ValueError: no such metric, or ``folder`` holds anything that staging this metric never writes.
    """
    source, folder = module_path(name), Path(folder).resolve()
    _refuse_foreign(name, folder)
    texts = {
        CARD: _card(name, repo_id, (source / CARD).read_text(encoding="utf-8")),
        PAGE: (source / PAGE).read_text(encoding="utf-8"),
        REQUIREMENTS: (source / REQUIREMENTS).read_text(encoding="utf-8"),
        **flat_sources(source / f"{name}.py"),
    }
    with whole_folder(folder) as new:
        for file, text in texts.items():
            (new / file).write_text(text, encoding="utf-8")
    return folder


def _card(name: str, repo_id: str, text: str) -> str:
    """The card with an example that loads the metric from its Space instead of from the installed library."""
    import_line, by_path = "from evenhand.evaluation.modules import module_path\n", f'str(module_path("{name}"))'
    return text.replace(import_line, "").replace(by_path, f'"{repo_id}"')


def _refuse_foreign(name: str, folder: Path) -> None:
    """Raise unless ``folder`` is new, empty, or an earlier staging of this metric."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"cannot stage into {folder}: it is a file; choose another folder")
    names = sorted(path.name for path in folder.iterdir())
    foreign = [n for n in names if not (n in (CARD, REQUIREMENTS) or n.endswith(".py")) or not (folder / n).is_file()]
    if foreign:
        raise ValueError(f"cannot stage into {folder}: it holds {foreign[0]!r}, which staging never writes")
    if names and not {CARD, PAGE, REQUIREMENTS, f"{name}.py"} <= set(names):
        raise ValueError(f"cannot stage into {folder}: it is not empty and no staged {name}; choose another folder")


def _push(name: str, repo_id: str, folder: Path, files: tuple[str, ...], private: bool, api: Any) -> tuple[str, bool]:
    """One commit that makes the Space's files those of ``folder``: its URL, and whether there was anything to do.

    `create_commit` and not `upload_folder`, which may spread its files over several commits; both leave out files that
    the Hub holds already, and make no commit when none is left.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    with _one_line_errors(repo_id):
        api.whoami()
        api.create_repo(repo_id, repo_type="space", space_sdk="gradio", private=private or None, exist_ok=True)
        before = api.repo_info(repo_id, repo_type="space")
        there = {sibling.rfilename for sibling in before.siblings}
        if there - FRESH_SPACE and f"{name}.py" not in there:
            other = min(there - FRESH_SPACE)
            raise ValueError(f"the Space {repo_id} holds something else ({other}); publish under another owner")
        # Library files of an earlier version; other files of the Space's owner stay.
        stale = sorted(file for file in there if file.endswith(".py") and "/" not in file and file not in files)
        commit = api.create_commit(
            repo_id,
            [
                *(CommitOperationDelete(path_in_repo=file) for file in stale),
                *(CommitOperationAdd(path_in_repo=file, path_or_fileobj=str(folder / file)) for file in files),
            ],
            commit_message=f"Metric {name}, from evenhand",
            repo_type="space",
            parent_commit=before.sha,
        )
    return commit.commit_url, commit.oid != before.sha


@contextmanager
def _one_line_errors(repo_id: str) -> Iterator[None]:
    """Turn what the Hub's client raises into one line that says what to do; no message holds the token."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalTokenNotFoundError

    try:
        yield
    except LocalTokenNotFoundError:
        raise RuntimeError(
            "no login to the Hub: run 'hf auth login' or set HF_TOKEN, or look at the folder with --dry-run"
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        advice = {
            401: "the token is not valid: log in again with 'hf auth login'",
            403: f"the token may not write to {repo_id}: use one with write access, and a name of yours",
            409: "the Space was changed meanwhile: run the same command again",
            412: "the Space was changed meanwhile: run the same command again",
        }
        said = " ".join((error.server_message or "").split())
        reason = advice.get(status) or said or "run the same command again"
        raise RuntimeError(f"{repo_id} was not published: the Hub answered {status}; {reason}") from error
    except (HTTPError, OSError) as error:
        raise RuntimeError(
            f"{repo_id} was not published: the Hub cannot be reached ({type(error).__name__})"
        ) from error
