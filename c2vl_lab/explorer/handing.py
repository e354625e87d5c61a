"""What one does with a selection: keep it, make it a subset, take it to the quality desk, have it asked about again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from c2vl_lab.artifacts import atomic_path
from c2vl_lab.data.subsets import save_subset, subset_path
from c2vl_lab.errors import ConfigError
from c2vl_lab.explorer.space import JointSpace
from c2vl_lab.prompts.asking.desk import Desk
from c2vl_lab.viz.desk_editor import Editor

FOLDER = "selections"
LISTED = "selected"  # heading in the editor's list of what one may step through


def save_selection(space: JointSpace, selection: pd.DataFrame, path: str | Path) -> Path:
    """Write the selected rows of the table of clips as CSV, atomically.

    Args:
        space: where they were selected.
        selection: rows of its table.
        path: the file; a mere name becomes ``work_dir/selections/<name>.csv``.

    Raises:
        ConfigError: nothing is selected.
    """
    if not len(selection):
        raise ConfigError("Nothing is selected, so there is nothing to save.")
    path = Path(path)
    if path.parent == Path(".") and not path.suffix:
        path = Path(space.work_dir) / FOLDER / f"{path.name}.csv"
    with atomic_path(path) as temporary:
        selection.to_csv(temporary, index=False)
    return path


def make_subset(space: JointSpace, selection: pd.DataFrame, name: str, by: str) -> Path:
    """Keep the selection as a named subset that other notebooks take as ``subset``; returns its file.

    Raises:
        ConfigError: nothing is selected, the name cannot be a file's, or the space has no recordings behind it.
    """
    if space.store is None:
        raise ConfigError("A subset is of a store of recordings, and this space was made without one.")
    return save_subset(subset_path(space.work_dir, space.store, name), space.store, selection["name"], by)


def prompt_editor(space: JointSpace, selection: pd.DataFrame, fps: float) -> Editor:
    """The quality desk's editor, with every sentence of the selected clips to step through.

    Raises:
        ConfigError: nothing is selected, or the space has no sentences of its own.
    """
    desk = _desk(space)
    clips = [name for name in selection["name"] if name in set(desk.names)]
    if not clips:
        raise ConfigError("None of the selected clips has sentences on the desk; select some that have.")
    rows = desk.table(clips)[["clip", "place"]].assign(why="in the concept explorer")
    return Editor(desk, {LISTED: rows}, first=clips[0], fps=fps)


def ask_again(
    space: JointSpace,
    selection: pd.DataFrame,
    backend: str,
    author: str,
    device: str,
    progress: Callable[[str], None] | None,
) -> tuple[pd.DataFrame, str]:
    """Mark all sentences of the selected clips to be asked for again and, with a backend, ask; and how to go on.

    Raises:
        ConfigError: nothing is selected, no such backend, or answers of another model would not stand beside these.
    """
    if not len(selection):
        raise ConfigError("Nothing is selected, so there is nothing to ask about again.")
    desk: Any = _desk(space)
    desk.reask(list(selection["name"]), author, "selected in the concept explorer")
    table = desk.ask_again(backend, device, progress)
    done = "were asked about again" if backend else "are marked to be asked about again"
    return table, f'{len(selection):,} clips {done}; captions="{desk.captions}" has what came of it.'


def _desk(space: JointSpace) -> Desk:
    if space.desk is None:
        raise ConfigError("This space has no sentences of its own, so there is no quality desk for it.")
    return space.desk()
