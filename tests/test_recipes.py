"""Published settings by name: they fit the program, stand where they are written, and unknown names are told."""

import pytest

from c2vl_lab.bench.drive import BenchOptions, plan_suite
from c2vl_lab.bench.suite import expand, load_suite
from c2vl_lab.config import from_dict
from c2vl_lab.errors import ConfigError
from c2vl_lab.recipes import PUBLISHED, with_recipe
from c2vl_lab.run_config import TRAINED, RunConfig

SUITE = """
name: small
title: Small
dataset: generated
seeds: [0]
parameters: {protocol: xsub, epochs: 5}
grid:
  - {arm: skeletonclr, recipe: skeletonclr-published, epochs: 7}
  - {arm: byol, recipe: byol-published, label: Byol}
  - {arm: untrained}
presets: {cpu: {width: 8}}
"""


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_settings_fit_the_program(name):
    recipe = PUBLISHED[name]
    config = from_dict(RunConfig, {"arm": recipe.arm, **recipe.settings})
    fitted = config.fit_config()
    assert recipe.arm in TRAINED and "arXiv" in recipe.source
    assert (fitted.epochs, fitted.lr, fitted.optimizer) == tuple(
        recipe.settings[k] for k in ("epochs", "lr", "optimizer")
    )


def test_the_table_of_the_field_is_what_was_published():
    """Section 3.3 of the field study: queue 32,768, momentum .999, tau .07, SGD .1, decay 1e-4, step 250 of 300."""
    for name in ("skeletonclr-published", "aimclr-published"):
        s = PUBLISHED[name].settings
        assert (s["queue"], s["momentum"], s["view_tau"], s["lr"], s["weight_decay"]) == (32768, 0.999, 0.07, 0.1, 1e-4)
        assert (s["optimizer"], s["lr_steps"], s["epochs"], s["batch_size"], s["frames"]) == (
            "sgd",
            "250",
            300,
            128,
            50,
        )
    s = PUBLISHED["byol-published"].settings
    assert s["lr"] == pytest.approx(0.2 * s["batch_size"] / 256)


def test_what_stands_beside_a_recipe_wins_and_unknown_names_are_told():
    settings = with_recipe({"recipe": "stgcn-published", "epochs": 3})
    assert (settings["epochs"], settings["lr_steps"]) == (3, "10,50") and "recipe" not in settings
    assert with_recipe({"recipe": "", "lr": 1.0}) == {"lr": 1.0} == with_recipe({"lr": 1.0})
    with pytest.raises(ConfigError, match=r"no recipe named 'byol-publishd'\. Did you mean 'byol-published'"):
        with_recipe({"recipe": "byol-publishd"})


def test_a_recipe_stands_for_its_settings_where_a_suite_names_it(tmp_path):
    path = tmp_path / "small.yml"
    path.write_text(SUITE)
    first, second, third = (spec for spec in expand(load_suite(path)))
    assert first.label == "skeletonclr skeletonclr-published 7" and second.label == "Byol"
    assert (first.parameters["epochs"], first.parameters["queue"], first.parameters["width"]) == (7, 32768, 16)
    assert (second.parameters["epochs"], second.parameters["width"]) == (1000, 8)
    assert third.parameters["epochs"] == 5 and "recipe" not in third.parameters
    path.write_text(SUITE.replace("byol-published", "boyl"))
    with pytest.raises(ConfigError, match="no recipe named 'boyl'"):
        load_suite(path)
    path.write_text(SUITE)
    with pytest.raises(ConfigError, match="its runs differ in 'queue'"):
        plan_suite(load_suite(path), BenchOptions(work_dir=str(tmp_path), settings=("queue=8",)))


def test_a_recipe_on_the_command_line(tmp_path):
    settings = ("recipe=stgcn-published", "epochs=3")
    plan = plan_suite(load_suite("demo"), BenchOptions(work_dir=str(tmp_path), settings=settings))
    parameters = plan.runs[-1].card["parameters"]
    assert (parameters["epochs"], parameters["optimizer"], parameters["label_smoothing"]) == (3, "sgd-nesterov", 0.0)
    assert plan.suite.name == "demo-epochs-3-recipe-stgcn-published"
    with pytest.raises(ConfigError, match="Did you mean 'stgcn-published'"):
        plan_suite(load_suite("demo"), BenchOptions(work_dir=str(tmp_path), settings=("recipe=stgcn",)))
