"""Notebook 05 itself in a real browser: every cell ends, none complains, and its explorer shows and moves its marks."""

from __future__ import annotations

import pytest
from test_browser import Page

from benchmarks.browser import chromium, lab, run_notebook_in, wait_for, why_not
from c2vl_lab.data.datasets import open_dataset
from c2vl_lab.experiment import open_experiment, pretrain
from c2vl_lab.explorer.serving import write_notebook
from c2vl_lab.run_config import RunConfig

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]

CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter((cell) => cell.model.type === "code")
  .map((cell) => ({ count: cell.model.executionCount, outputs: cell.model.outputs.toJSON() }))"""
SCROLL = """() => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  const at = notebook.widgets.findIndex((cell) => cell.model.sharedModel.source.endsWith("\\nexplorer"));
  notebook.activeCellIndex = at;
  return notebook.scrollToItem(at);
}"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of two epochs on generated clips with its states, and notebook 05 with its parameters."""
    work = tmp_path_factory.mktemp("work")
    store = open_dataset("generated", work_dir=work, performers=2, frames_max=40)
    options = {"teacher": "bag", "epochs": 2, "keep_every": 1, "batch_size": 16, "knn_every": 0}
    pretrain(open_experiment(RunConfig(dataset=str(store.path), work_dir=str(work), **options)), work / "run")
    folder = tmp_path_factory.mktemp("notebook")
    # UMAP is the default; its compilation takes a minute, and another test pays for it
    write_notebook(folder, {"run_dir": str(work / "run"), "work_dir": str(work), "projection": "pca"})
    return folder, store


def test_notebook_05_in_jupyterlab(made):
    folder, store = made
    with lab(folder) as address, chromium() as browser:
        at = Page(browser.new_page(viewport={"width": 1366, "height": 1000}), folder)
        page = at.page
        run_notebook_in(page, address, "05_concept_space.ipynb")
        wait_for(lambda: all(cell["count"] for cell in page.evaluate(CELLS)), "every cell to end", 300, 0.5)
        outputs = [out for cell in page.evaluate(CELLS) for out in cell["outputs"]]
        assert not [out for out in outputs if out["output_type"] == "error"]
        told = "".join(text for out in outputs if out.get("name") == "stdout" for text in out["text"])
        assert f"of {len(store):,}" in told and "Page: not saved" in told
        assert not [out for out in outputs if out.get("name") == "stderr"], "a warning is for us, not for readers"
        page.evaluate(SCROLL)
        page.wait_for_selector(".cx-over")
        count = page.locator(".cx-count")
        assert f"of {len(store):,}" in count.inner_text(), "the wrongly predicted test clips are selected"
        assert page.locator(".cx-hit").count() == 20, "and the notebook's search is answered"
        assert page.locator(".cx-name").inner_text() == page.locator(".cx-hit span").first.inner_text()
        page.get_by_title("select nothing").click()
        wait_for(lambda: count.inner_text() == "nothing selected yet", "the selection to be empty", 60)
        wait_for(lambda: min((at.colored(k) > 150).sum() for k in (0, 1)) > 500, "marks on both maps", 60)
        views = page.locator(".cx-view")
        assert [views.nth(k).input_value() for k in (0, 1)] == ["before training", "after training"]
        before = at.colored(0)
        page.locator(".cx-slider").evaluate("(it) => { it.value = 1; it.onchange(); }")
        wait_for(lambda: views.first.input_value() == "epoch 1", "the state of epoch 1", 60)
        wait_for(lambda: (at.colored(0) != before).any(), "its marks", 60)
        at.untouched()
