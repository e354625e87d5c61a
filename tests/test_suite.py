"""Suites: unknown names are refused with the near miss, grids expand to stable, readable runs."""

from __future__ import annotations

import pytest

from c2vl_lab.bench.drive import BenchOptions, describe_plan, plan_suite
from c2vl_lab.bench.notebooks import check_parameters, find_notebook
from c2vl_lab.bench.suite import Suite, expand, load_suite, suite_names, with_settings
from c2vl_lab.errors import ConfigError, DataError, MissingError

SMALL = """
name: small
title: Small
dataset: generated
seeds: [0, 1]
parameters: {protocol: xsub, epochs: 5}
grid:
  - {arm: untrained, label: No training}
  - {arm: full, epochs: 9}
presets:
  cpu: {epochs: 7, encoder: temporal}
  full: {encoder: stgcn}
"""


def write(tmp_path, text: str):
    path = tmp_path / "small.yml"
    path.write_text(text)
    return path


def test_a_grid_expands_to_arms_times_seeds(tmp_path):
    specs = expand(load_suite(write(tmp_path, SMALL)))
    assert [(s.label, s.parameters["seed"]) for s in specs] == [
        *(("No training", 0), ("No training", 1)),
        *(("full 9", 0), ("full 9", 1)),
    ]
    assert [s.parameters["epochs"] for s in specs] == [7, 7, 9, 9]  # arm over preset over common
    assert specs[0].id.startswith("untrained-s0-") and len(specs[0].id.split("-")[-1]) == 8
    assert "label" not in specs[0].parameters


def test_ids_follow_from_the_parameters_alone(tmp_path):
    suite = load_suite(write(tmp_path, SMALL))
    again = load_suite(write(tmp_path, SMALL.replace("No training", "Other words")))
    assert [s.id for s in expand(suite)] == [s.id for s in expand(again)]
    other = load_suite(write(tmp_path, SMALL.replace("epochs: 7", "epochs: 8")))
    assert expand(suite)[0].id != expand(other)[0].id
    assert expand(suite)[2].id == expand(other)[2].id  # its own epochs win, so it is the same run
    assert expand(suite, "full")[0].parameters["epochs"] == 5


def test_only_picks_runs(tmp_path):
    suite = load_suite(write(tmp_path, SMALL))
    assert [s.parameters["arm"] for s in expand(suite, only=("arm=full", "seed=1"))] == ["full"]
    with pytest.raises(ConfigError, match=r"no run has arm=ful\. Did you mean 'full'"):
        expand(suite, only=("arm=ful",))
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        expand(suite, only=("full",))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (SMALL.replace("seeds", "sedes"), "unknown setting 'sedes'. Did you mean 'seeds'"),
        (SMALL.replace("[0, 1]", "[]"), "'seeds' is empty"),
        (SMALL.replace("[0, 1]", "[zero]"), "seeds: wanted int, found 'zero'"),
        (SMALL.replace("title: Small\n", ""), "title"),
        (
            SMALL.replace("{epochs: 7, encoder: temporal}", ""),
            "preset 'cpu' wants parameters, as in {epochs: 60}",
        ),
        (SMALL.replace("{epochs: 7, encoder: temporal}", "7"), "preset 'cpu' wants parameters"),
        (SMALL.replace("{arm: full, epochs: 9}", "full"), "grid"),
        (SMALL.replace("arm: full, epochs: 9", "arm: untrained"), "twice"),
    ],
)
def test_a_wrong_suite_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(ConfigError) as caught:
        expand(load_suite(write(tmp_path, text)))
    assert sentence in str(caught.value)


def test_unknown_names(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'demo'"):
        load_suite("dmo")
    with pytest.raises(MissingError, match=r"none\.yml"):
        load_suite(tmp_path / "none.yml")
    with pytest.raises(DataError, match="not valid YAML"):
        load_suite(write(tmp_path, "name: [1"))
    with pytest.raises(DataError, match="wanted a mapping"):
        load_suite(write(tmp_path, "- 1"))
    with pytest.raises(ConfigError, match="preset of suite small named 'cpo'"):
        expand(load_suite(write(tmp_path, SMALL)), "cpo")


@pytest.mark.parametrize("name", suite_names())
def test_shipped_suites_fit_their_notebook(name):
    suite = load_suite(name)
    notebook = find_notebook(suite.notebook)
    for preset in suite.presets:
        for spec in expand(suite, preset):
            check_parameters(notebook, spec.parameters)


@pytest.mark.parametrize("name", ["nw-ucla", "utd-mhad"])
def test_real_suites_have_every_arm_and_three_seeds(name):
    suite = load_suite(name)
    arms = {(arm["arm"], arm.get("modalities", suite.parameters["modalities"])) for arm in suite.grid}
    wanted = {"coordinates", "prompts", "untrained", "skeletonclr", "hard", "full", "supervised"}
    assert {arm for arm, _ in arms} == wanted and len(suite.seeds) >= 3
    assert name != "utd-mhad" or {("hard", "language+vision"), ("full", "language+vision")} <= arms
    for preset in suite.presets:  # one encoder and one number of epochs for all arms of a table
        runs = [spec.parameters for spec in expand(suite, preset)]
        assert len({(run["encoder"], run.get("epochs"), run.get("turn")) for run in runs}) == 1


def test_a_setting_holds_for_all_runs_and_gives_them_a_folder_of_their_own(tmp_path):
    suite = load_suite(write(tmp_path, SMALL))
    changed = with_settings(suite, {"dataset": "stores/My set", "encoder": "stgcn", "data_dir": "/some/where"})
    assert changed.name == "small-my-set-encoder-stgcn" and changed.title == "Small, My set, encoder stgcn"
    assert {spec.parameters["encoder"] for spec in expand(changed)} == {"stgcn"}
    assert {spec.parameters["dataset"] for spec in expand(changed)} == {"stores/My set"}
    assert [s.parameters["epochs"] for s in expand(changed)] == [7, 7, 9, 9]
    assert with_settings(suite, {}) is suite
    for name, value in (("arm", "full"), ("epochs", 3), ("seed", 1)):
        with pytest.raises(ConfigError, match=f"its runs differ in '{name}'; pick some of them with --only"):
            with_settings(suite, {name: value})


def test_settings_from_the_command_line_are_typed_and_checked(tmp_path):
    path = write(tmp_path, SMALL)

    def plan(*settings):
        return plan_suite(load_suite(path), BenchOptions(work_dir=str(tmp_path), settings=settings))

    lr = plan("lr=1e-3")
    assert {job.card["parameters"]["lr"] for job in lr.runs} == {0.001}
    assert lr.folder == tmp_path / "runs" / "small-lr-0.001" / "cpu"
    for text, sentence in (("lr", "--set wants NAME=VALUE"), ("lrr=1", "Did you mean 'lr'"), ("lr=x", "wanted float")):
        with pytest.raises(ConfigError, match=sentence):
            plan(text)


def test_the_suite_for_own_recordings_wants_a_store(tmp_path):
    with pytest.raises(ConfigError, match="Suite own wants your own store: --set dataset=work/stores/mine"):
        plan_suite(load_suite("own"), BenchOptions(work_dir=str(tmp_path)))
    with pytest.raises(ConfigError, match="no data set or store folder"):
        plan_suite(load_suite("own"), BenchOptions(work_dir=str(tmp_path), settings=("dataset=work/none",)))


def test_a_notebook_that_shows_an_excluded_run_is_left_out_with_a_word(tmp_path):
    text = SMALL + "after: [05_concept_space, 07_report]\nshown: {arm: full}\n"

    def plan(*only):
        return plan_suite(load_suite(write(tmp_path, text)), BenchOptions(work_dir=str(tmp_path), only=only))

    without = plan("arm=untrained")
    assert [job.id for job in without.after] == ["07_report"]
    assert any("left out: 05_concept_space" in line and "--only" in line for line in describe_plan(without))
    for only in ((), ("arm=full",), ("seed=1",)):
        assert [job.id for job in plan(*only).after] == ["05_concept_space", "07_report"] and not plan(*only).left_out
    assert "/full-9-s1-" in plan("seed=1").after[0].parameters["run_dir"]


def test_what_measures_an_arm_does_not_name_its_runs():
    """Protocols of one arm alone, as in the ablation suites: the run's folder is that of a suite without them."""
    plain = {"arm": "full", "label": "Full"}
    more = {**plain, "protocols": "linear,semi", "tuning": "default seeds=1", "transfer_to": "utd-mhad:xsub"}
    suites = [Suite("mine", "Mine", "generated", (arm,), {"cpu": {}}, seeds=(0,)) for arm in (plain, more)]
    one, other = (expand(suite)[0] for suite in suites)
    assert one.id == other.id and other.parameters["protocols"] == "linear,semi"
