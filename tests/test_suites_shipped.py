"""The shipped suites: every run's settings are valid, and those of the paper name every hyper-parameter."""

from __future__ import annotations

import dataclasses

import pytest

from c2vl_lab.bench.drive import BenchOptions, plan_suite
from c2vl_lab.bench.notebooks import check_parameters, find_notebook
from c2vl_lab.bench.resources import resources_of
from c2vl_lab.bench.suite import check_wants, expand, load_suite, suite_names, with_settings
from c2vl_lab.config import from_dict
from c2vl_lab.data.datasets import DATASETS
from c2vl_lab.data.protocols import RULES
from c2vl_lab.errors import ConfigError
from c2vl_lab.evaluate.protocols import check_protocols
from c2vl_lab.recipes import PUBLISHED, RECONSTRUCTED
from c2vl_lab.run_config import TRAINED, RunConfig

PAPERS = ("ntu60-xsub", "ntu60-xview", "ntu120-xsub", "ntu120-xset", "pkummd-1", "pkummd-2", "transfer", "semi")
# what a suite says beside its recipe, and what changes no number
SAID = {"dataset", "protocol", "arm", "seed", "stream", "modalities", "teacher", "captions", "pictures"}
FREE = {
    "keep_every",
    "encoder_from",
    "data_dir",
    "work_dir",
    "device",
    "checkpoint_every",
    "checkpoint_minutes",
    "on_nan",
    "knn_every",
}
FREE |= {
    "micro_batch",
    "precision",
    "compile",
    "resident",
    "class_texts",
    "pretrain_on",
    "center_each_set",
    "balance_sets",
}


def given(suite, preset):
    """A suite with what a preset wants of its user."""
    own = {**suite.parameters, **suite.presets[preset]}
    return with_settings(suite, {name: "video:FILE" for name in suite.wants if own.get(name) == ""})


@pytest.mark.parametrize("name", suite_names())
def test_every_run_of_a_shipped_suite_is_valid(name):
    """Names and types by the notebook, values by the settings themselves, sets and protocols by the readers."""
    suite, fields = load_suite(name), {f.name for f in dataclasses.fields(RunConfig)}
    notebook = find_notebook(suite.notebook)
    for preset in suite.presets:
        resources_of(suite.resources, tuple(suite.presets), preset, name)
        for spec in expand(given(suite, preset), preset):
            values = check_parameters(notebook, spec.parameters)
            check_protocols(values.get("protocols", ""))
            config = from_dict(RunConfig, {k: v for k, v in values.items() if k in fields})
            if config.arm in TRAINED:
                config.fit_config()
            if config.dataset in DATASETS:
                assert config.protocol in RULES[config.dataset]


def test_the_recipe_leaves_nothing_to_a_default():
    """A default may be changed for small sets; the suites of the paper stay as they are."""
    fields = {f.name for f in dataclasses.fields(RunConfig)}
    recipe = RECONSTRUCTED["c2vl-reconstructed"]
    assert set(recipe.settings) == fields - SAID - FREE
    for name in ("pooling", "center", "encoder", "width", "frames", "epochs", "batch_size"):
        assert name in recipe.settings
    assert "reconstruct" not in " ".join(PUBLISHED) and "ours" in recipe.source


@pytest.mark.parametrize("name", PAPERS)
def test_the_suites_of_the_paper_are_complete(name):
    suite = load_suite(name)
    for preset in suite.presets:
        for spec in expand(given(suite, preset), preset):
            named = set(spec.parameters)
            assert set(RECONSTRUCTED["c2vl-reconstructed"].settings) <= named
            assert {"dataset", "protocol", "arm", "seed"} <= named
            if spec.parameters["arm"] in ("hard", "full", "prompts"):
                assert {"modalities", "teacher", "captions", "pooling"} <= named
    main = expand(suite, "full", only=("arm=full",))[0].parameters
    stated = {"encoder": "stgcn", "width": 64, "frames": 64, "epochs": 100, "batch_size": 64, "kappa": 14.2857}
    assert stated.items() <= main.items() and main["alpha_max"] == main["gamma"] == 0.5


def test_the_papers_benchmarks_are_what_their_names_say():
    found = {name: (load_suite(name).dataset, load_suite(name).parameters.get("protocol")) for name in PAPERS}
    assert found == {
        "ntu60-xsub": ("ntu60", "xsub"),
        "ntu60-xview": ("ntu60", "xview"),
        "ntu120-xsub": ("ntu120", "xsub"),
        "ntu120-xset": ("ntu120", "xset"),
        "pkummd-1": ("pku1", "xsub"),
        "pkummd-2": ("pku2", "xsub"),
        "transfer": ("pku2", "xsub"),
        "semi": ("ntu60", None),
    }
    sources = {arm.get("pretrain_on", "") for arm in load_suite("transfer").grid if arm["arm"] == "full"}
    assert sources == {"", "pku1:xsub", "ntu60:xsub", "ntu120:xsub"}
    assert {arm["protocol"] for arm in load_suite("semi").grid} == {"xsub", "xview"}
    streams = [arm["stream"] for arm in load_suite("ntu60-xsub").grid if arm["arm"] == "full"]
    assert streams == ["joint", "bone", "motion"]


def test_what_a_preset_leaves_open_is_asked_for(tmp_path):
    suite = load_suite("ntu60-xsub")
    for name, rest in (("captions", {}), ("pictures", {"captions": "mine.json"})):
        settings = tuple(f"{k}={v}" for k, v in rest.items())
        options = BenchOptions(work_dir=str(tmp_path), preset="paper", settings=settings)
        with pytest.raises(ConfigError, match=rf"preset paper, wants {name}: .* --set {name}=VALUE.*: full, cpu\."):
            plan_suite(suite, options)
    check_wants(with_settings(suite, {"captions": "mine.json", "pictures": "video:x"}), "paper")
    check_wants(suite, "full")
    assert not list(tmp_path.iterdir())
