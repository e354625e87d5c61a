"""One's own recordings: any joints, units and axes, from arrays and a table to maps and a suite's report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from c2vl_lab.bench.drive import BenchOptions, plan_suite, run_plan
from c2vl_lab.bench.suite import load_suite
from c2vl_lab.data.layouts import COCO17, KINECT20, layout_from_bones
from c2vl_lab.data.own import store_from_arrays
from c2vl_lab.data.own_example import write_example
from c2vl_lab.data.own_table import read_table
from c2vl_lab.data.protocols import make_split, protocols_of
from c2vl_lab.data.store import SkeletonStore
from c2vl_lab.data.transforms import PrepareConfig, prepare
from c2vl_lab.errors import ConfigError, DataError, MissingError
from c2vl_lab.evaluate.run import class_points, evaluate, joint_space
from c2vl_lab.experiment import load_learner, open_experiment, pretrain
from c2vl_lab.figures import film_strip
from c2vl_lab.models.encoders import ENCODERS, build_encoder
from c2vl_lab.project import project_joint
from c2vl_lab.prompts.kinematic import caption_clip
from c2vl_lab.run_config import RunConfig
from c2vl_lab.viz import player

# the same joints in other words
BONES = {"Nose": None, "LEye": "Nose", "REye": "Nose", "LEar": "LEye", "REar": "REye", "LShoulder": "Nose",
         "RShoulder": "Nose", "LElbow": "LShoulder", "RElbow": "RShoulder", "LWrist": "LElbow", "RWrist": "RElbow",
         "LHip": "LShoulder", "RHip": "RShoulder", "LKnee": "LHip", "RKnee": "RHip", "LAnkle": "LKnee",
         "RAnkle": "RKnee"}  # fmt: skip
TABLE = pd.DataFrame({"name": ["x", "y"], "label": ["sit", "stand"], "subject": [1, 2]})
FINGERS = ("thumb", "index", "middle", "ring", "little")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_example(tmp_path_factory.mktemp("own") / "recordings")


@pytest.fixture(scope="module")
def store(folder) -> SkeletonStore:
    table = pd.read_csv(folder / "table.csv")
    arrays = (np.load(folder / f"{name}.npy") for name in table["name"])
    return store_from_arrays(folder.parent / "mine", arrays, table, BONES, up="z", unit=0.001)


def pose(frames=5, bodies=1, joints=17, seed=0):
    """(T, M, V, 3) of some size and depth."""
    return np.random.default_rng(seed).normal(0, 0.4, (frames, bodies, joints, 3)).astype(np.float32)


def make(tmp_path, arrays, table=TABLE, **more):
    return store_from_arrays(tmp_path / "mine", arrays, table, "coco17", **{"replace": True} | more)


def test_the_recipe_reads_any_lengths_people_axes_and_units(store, folder):
    assert len(store) == 24 and store.bodies == 2 and set(store.body_counts) == {1, 2}
    assert len(set(store.lengths)) > 5 and len(store.classes) == 4 and store.dataset == "mine" and not store.generated
    assert store.layout.joints == COCO17.joints and store.layout.mirror == COCO17.mirror
    for index in range(len(store)):
        clip = store[index]
        height = clip.xyz[..., store.layout.index("left_ear"), 1] - clip.xyz[..., store.layout.index("left_ankle"), 1]
        assert 0.7 < np.median(height[clip.present]) < 2, "metres, y up"
    assert store.names == pd.read_csv(folder / "table.csv")["name"].tolist()
    assert len(make_split(store, "xsub").train) == len(make_split(store, "xsub").test) == 12


@pytest.mark.parametrize("up", ["y", "-y", "z", "-z", "x", "-x"])
def test_every_axis_may_point_up(tmp_path, up):
    """The sideways order of right, up and front stays, so that left does not become right."""
    axis, sign = "xyz".index(up[-1]), -1.0 if up[0] == "-" else 1.0
    basis = np.zeros((3, 3), np.float32)  # rows: where right, up and front of the person are in the user's axes
    basis[1, axis] = sign
    basis[0, (axis + 1) % 3] = 1.0
    basis[2] = np.cross(basis[0], basis[1])
    body = pose(4)
    found = make(tmp_path, [500 * body @ basis] * 2, up=up, unit=0.002)[0].xyz
    np.testing.assert_allclose(found[..., 1], body[..., 1], atol=1e-5)
    turned = found.reshape(-1, 3)[:, [0, 2]].T @ np.linalg.pinv(body.reshape(-1, 3)[:, [0, 2]].T)
    assert np.linalg.det(turned) == pytest.approx(1, abs=1e-4)


def test_frames_that_are_not_known_are_gaps_and_an_absent_person_is_no_fault(tmp_path):
    one, two = pose(6), pose(6, bodies=2, seed=1)
    one[2, 0, :9, 1] = np.nan
    one[3] = 0
    two[:, 1] = np.nan
    found = make(tmp_path, [one[:, 0], two])
    assert found[0].present[:, 0].tolist() == [True, True, False, False, True, True]
    assert not found[0].xyz[2:4].any() and np.array_equal(found[0].xyz[[0, 1, 4, 5]], one[[0, 1, 4, 5]])
    assert found[1].present.tolist() == [[True, False]] * 6
    said = found.meta["notes"]["joints that were not finite"]
    assert said.startswith("in 1 clips: 0 joints filled") and "1 frames of a body with fewer than half" in said
    assert np.isfinite(prepare(found, PrepareConfig())).all()


def test_single_joints_that_are_not_known_cost_no_frame(tmp_path):
    """Of clips with 3 % single NaN joints 40 % of the frames were lost before."""
    rng = np.random.default_rng(0)
    steady = [pose(1, seed=seed) + np.linspace(0, 1, 60, dtype=np.float32)[:, None, None, None] for seed in (0, 1)]
    arrays = [np.where(rng.random((60, 1, 17, 1)) < 0.03, np.nan, array) for array in steady]
    arrays[1][:, 0, COCO17.index("left_ear")] = np.nan
    missing = [int(np.isnan(array[..., 0]).sum()) for array in arrays]
    found = make(tmp_path, arrays)
    assert found.present.all() and missing[0] > 20
    inside = slice(10, 50)  # at the ends places are held
    np.testing.assert_allclose(found[0].xyz[inside], steady[0][inside], atol=1e-5)
    ear, other = COCO17.index("left_ear"), COCO17.parents[COCO17.index("left_ear")]
    np.testing.assert_array_equal(found[1].xyz[:, :, ear], found[1].xyz[:, :, other])
    said = found.meta["notes"]["joints that were not finite"]
    assert said.startswith(f"in 2 clips: {sum(missing) - 60} joints filled from other frames, 60 never known")


def test_classes_come_from_the_table_and_splits_from_its_columns(tmp_path):
    table = TABLE.assign(label=[10, 9], **{"split:mine": ["test", "train"]})
    found = make(tmp_path, [pose(), pose()], table)
    assert found.classes == ["9", "10"] and found.labels.tolist() == [1, 0]
    assert "mine" in protocols_of(found) and make_split(found, "mine").test.tolist() == [0]
    named = make(tmp_path, [pose(), pose()], TABLE.assign(label=[0, "sit"]), classes=["stand", "sit"])
    assert named.labels.tolist() == [0, 1] and named.classes == ["stand", "sit"] and not named.generated
    assert make(tmp_path, [pose(), pose()], generated=True).generated


def test_bones_may_come_from_a_file(tmp_path):
    (tmp_path / "bones.json").write_text(json.dumps(BONES))
    found = store_from_arrays(tmp_path / "mine", [pose(), pose()], TABLE, str(tmp_path / "bones.json"))
    assert found.layout.joints == COCO17.joints
    (tmp_path / "bones.json").write_text("[1]")
    with pytest.raises(ConfigError, match="joint: parent joint"):
        store_from_arrays(tmp_path / "mine", [pose(), pose()], TABLE, str(tmp_path / "bones.json"))


def spoiled(**changes):
    """Second array of a set, with something wrong."""
    array = pose()
    if "joint" in changes:
        array[:, 0, changes["joint"] :] = np.nan
    return changes["unit"] * array if "unit" in changes else array


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (pose()[..., :2], r"found \(5, 1, 17, 2\). Skeletons in a picture \(x, y\) are not supported"),
        (pose() * [1, 1, 0], r"the third coordinate is 0 everywhere. Skeletons in a picture"),
        (pose(joints=18), r"wanted \(frames, 17, 3\) or \(frames, bodies, 17, 3\) .*, found \(5, 1, 18, 3\)"),
        (pose()[0, 0], r"found \(17, 3\)"),
        (pose(0), r"found \(0, 1, 17, 3\)"),
        (spoiled(unit=1000), r"the joints lie \d+ metres from their middle, .* unit=0.001 for millimetres"),
        (spoiled(joint=8), "no frame has half of the joints. Joint 'right_elbow' is not finite in 100 % of the frames"),
        (np.zeros((5, 17, 3)), "no frame has half of the joints. All of them are zero"),
        ([["a"]], "wanted an array of numbers"),
    ],
)
def test_an_array_that_cannot_be_used_is_named_by_row_and_clip(tmp_path, array, sentence):
    with pytest.raises(DataError, match=f"mine, row 1, clip y: .*{sentence}"):
        make(tmp_path, [pose(), array])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (TABLE.drop(columns="label"), r"the table lacks the columns \['label'\]"),
        (TABLE.assign(label=["sit", None]), "mine, row 1: the label is empty"),
        (TABLE.assign(subject=[1, 1.5]), "mine, row 1, clip y: column subject wants whole numbers"),
        (TABLE.assign(camera=["left", None]), "mine, row 0, clip x: column camera wants whole numbers"),
        (TABLE.assign(subject=[1, None]), "mine, row 1, clip y: .* whole numbers"),
        (TABLE.assign(name="x"), "mine, row 1, clip x: the clip name x occurs twice"),
        (TABLE.assign(**{"split:own": ["train", "val"]}), "split:own wants 'train', 'test' or nothing, found 'val'"),
        (pd.concat([TABLE, TABLE]), "4 rows and 2 arrays"),
    ],
)
def test_a_table_that_cannot_be_used_is_named(tmp_path, table, sentence):
    with pytest.raises(DataError, match=sentence):
        make(tmp_path, [pose(), pose()], table)
    assert not list(tmp_path.iterdir())


def test_another_store_is_not_replaced_unless_that_is_asked_for(tmp_path):
    first = make(tmp_path, [pose(), pose()], replace=False)
    assert make(tmp_path, [pose(), pose()], replace=False).fingerprint == first.fingerprint
    others = (
        {"arrays": [pose(), pose(seed=1)]},
        {"table": TABLE.assign(name=["x", "z"])},
        {"table": TABLE.assign(subject=[2, 1])},
        {"dataset": "other"},
    )
    for other in others:
        with pytest.raises(ConfigError, match="another store is there"):
            make(tmp_path, **{"arrays": [pose(), pose()], "replace": False} | other)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert SkeletonStore.open(tmp_path / "mine").fingerprint == first.fingerprint
    assert make(tmp_path, [pose(), pose(seed=1)]).fingerprint != first.fingerprint


def test_a_folder_of_other_things_is_never_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="stays as it is"):
        make(tmp_path, [pose(), pose()])
    assert (tmp_path / "mine" / "thesis.txt").is_file()


def test_people_of_two_millimetres_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"row 0, clip x: the joints lie .* millimetres .* unit=1 "):
        make(tmp_path, [pose(), pose()], unit=0.001)


def test_performers_and_cameras_may_have_names(tmp_path):
    table = TABLE.assign(subject=["Zoe", "Ada"], camera=["07", "8"])
    found = make(tmp_path, [pose(), pose()], table)
    assert found.clips["subject"].tolist() == [2, 1] and found.clips["camera"].tolist() == [7, 8]
    assert "1 = Ada, 2 = Zoe" in found.meta["notes"]["numbers given to the texts of column subject"]


def test_a_table_file_that_is_not_there_or_none_is_a_sentence(tmp_path):
    with pytest.raises(MissingError, match=r"There is no file .*table.csv. Wanted a folder"):
        read_table(tmp_path / "table.csv")
    for content, sentence in ((b"", "wanted a table"), (b"\xff\xfe\x00", "table"), (b"name\nx\n", r"lacks .*label")):
        (tmp_path / "table.csv").write_bytes(content)
        with pytest.raises(DataError, match=sentence):
            read_table(tmp_path / "table.csv")


def test_wrong_settings_are_named(tmp_path):
    for more, sentence in (({"up": "w"}, "up wants one of y, -y"), ({"unit": 0}, "metres in one unit")):
        with pytest.raises(ConfigError, match=sentence):
            make(tmp_path, [pose(), pose()], **more)
    with pytest.raises(ConfigError, match="known joint layout named 'coco'"):
        store_from_arrays(tmp_path / "mine", [pose(), pose()], TABLE, "coco")


def test_arrays_are_taken_one_by_one_and_a_fault_leaves_the_old_store(tmp_path):
    old = make(tmp_path, [pose(), pose()]).fingerprint

    def arrays(count, load=lambda number: pose(seed=number)):
        for number in range(count):
            yield load(number)

    with pytest.raises(DataError, match="the table has 2 rows, the arrays end after 1"):
        make(tmp_path, arrays(1))
    with pytest.raises(DataError, match="the table has 2 rows, there are more arrays"):
        make(tmp_path, arrays(3))
    with pytest.raises(DataError, match=r"row 0, clip x: its array cannot be loaded \(.*No such file"):
        make(tmp_path, arrays(2, lambda number: np.load(tmp_path / "none.npy")))
    assert SkeletonStore.open(tmp_path / "mine").fingerprint == old
    assert make(tmp_path, arrays(2)).fingerprint != old


def config_for(store, tmp_path, **more):
    small = {"epochs": 2, "batch_size": 6, "width": 16, "frames": 16, "effective_targets": 2.0, "device": "cpu"}
    return RunConfig(dataset=str(store.path), work_dir=str(tmp_path / "work"), **(small | more))


def test_from_captions_to_the_concept_map(store, tmp_path):
    experiment = open_experiment(config_for(store, tmp_path))
    texts = experiment.prompts()
    assert all(len(sentences) == 16 for sentences in texts.values()) and set(texts) == set(store.names)
    waving = store.names[store.labels.tolist().index(store.classes.index("wave with the right hand"))]
    assert "above the head" in texts[waving][4] and "right hand" in texts[waving][4]
    pretrain(experiment, tmp_path / "run")
    results = evaluate(experiment, tmp_path / "run")
    assert 0 <= results["metrics"]["linear"] <= 1 and not results["generated"]
    learner = load_learner(experiment, tmp_path / "run")
    points = joint_space(experiment, learner, np.load(tmp_path / "run" / "features.npy"))
    points["class prompt"] = class_points(experiment, learner)
    placed = project_joint(points, method="pca")
    assert {len(rows) for rows in placed.coordinates.values()} == {24, 4}
    assert player.clip_player(store[0], store.layout).frames and film_strip(store[20], store.layout).axes


def hands(tmp_path) -> SkeletonStore:
    """Twelve recordings of a hand of 21 joints that closes or swings: no shoulders, no hips, no sides."""
    bones = {"wrist": None}
    bones |= {f"{f}_{k}": f"{f}_{k - 1}" if k > 1 else "wrist" for f in FINGERS for k in range(1, 5)}
    rng = np.random.default_rng(0)
    arrays, labels = [], []
    for number in range(12):
        time = np.linspace(0, 1, int(rng.integers(20, 50)))
        hand = np.zeros((len(time), 21, 3))
        for finger in range(5):
            for joint in range(1, 5):
                bend = joint * (0.6 * np.sin(np.pi * time) if number % 2 else 0 * time)
                reach = 0.03 * joint
                place = [0.02 * (finger - 2) + 0 * time, reach * np.cos(bend), reach * np.sin(bend)]
                hand[:, 4 * finger + joint] = np.stack(place, axis=1)
        if not number % 2:
            hand[..., 0] += 0.1 * np.sin(12 * time)[:, None]
        arrays.append(hand + rng.normal(0, 0.001, hand.shape))
        labels.append(["swing", "close"][number % 2])
    table = pd.DataFrame({"name": [f"h{i}" for i in range(12)], "label": labels, "subject": np.arange(12) // 2})
    return store_from_arrays(tmp_path / "hands", arrays, table, bones, dataset="hands")


def test_a_skeleton_that_is_no_person_is_described_trained_and_shown(tmp_path):
    found = hands(tmp_path)
    texts = {label: [] for label in (0, 1)}
    for index, label in enumerate(found.labels):
        clip = found[index]
        texts[label].append(caption_clip(clip.xyz, clip.present, found.layout))
    assert all(len(sentences) == 16 for rows in texts.values() for sentences in rows)
    close, swing = (texts[found.classes.index(name)][0] for name in ("close", "swing"))
    assert "index 4 moves down" in close[5] and "then up" in close[5] and swing[5] == "The index 4 keeps its place."
    assert "to and fro" in swing[9] and close[9] == "No movement is repeated."
    words = " ".join(sentence for rows in texts.values() for sentences in rows for sentence in sentences)
    assert not {"person", "arm", "knee", "elbow", "left", "right"} & set(words.lower().replace(".", " ").split())
    experiment = open_experiment(
        config_for(found, tmp_path, epochs=1, modalities="language+vision", pictures="rendered")
    )
    pretrain(experiment, tmp_path / "run")
    assert 0 <= evaluate(experiment, tmp_path / "run")["metrics"]["linear"] <= 1
    assert player.clip_player(found[0], found.layout).frames and film_strip(found[0], found.layout).axes


@pytest.mark.parametrize("layout", [COCO17, layout_from_bones("pair", {"base": None, "tip": "base"})])
@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_every_encoder_takes_any_layout(layout, name):
    x = torch.randn(2, 3, 16, len(layout), 2)
    assert build_encoder(name, layout, 16)(x).isfinite().all()


def test_the_temporal_encoder_sees_joints_from_between_the_hips():
    """A COCO body moved as a whole gives the same relative channels; the hip is the mean of its two hips."""
    encoder = build_encoder("temporal", COCO17, 16)
    assert encoder.origin == [COCO17.index("left_hip"), COCO17.index("right_hip")]
    assert build_encoder("temporal", KINECT20, 16).origin == [KINECT20.index("spine_base")]


@pytest.mark.slow
def test_a_suite_of_one_run(store, tmp_path):
    text = Path(load_suite.__code__.co_filename).with_name("suites").joinpath("own.yml").read_text()
    head, _, rest = text.partition("grid:")
    head = head.replace("before: [01_data, 02_prompts]", "before: []").replace(
        "[05_concept_space, 07_report]", "[07_report]"
    )
    arms, presets = '  - {arm: supervised, label: "Upper bound"}\n', rest[rest.index("presets:") :]
    (tmp_path / "own.yml").write_text(
        f"{head}grid:\n{arms}{presets}".replace("[0, 1, 2]", "[0]").replace("shown: {arm: full}", "shown: {}")
    )
    options = BenchOptions(
        settings=(f"dataset={store.path}", "epochs=2", "batch_size=6"),
        work_dir=str(tmp_path / "work"),
        reports_dir=str(tmp_path / "reports"),
        device="cpu",
    )
    plan = plan_suite(load_suite(tmp_path / "own.yml"), options)
    assert len(plan.runs) == 1 and plan.folder.parent.name.startswith("own-mine-")
    outcomes = run_plan(plan, lambda line: None)
    assert [(outcome.status, outcome.error) for outcome in outcomes] == [("complete", "")] * 2
    page = plan.report.read_text()
    assert "Own recordings, mine" in page and "Upper bound" in page and str(store.path) not in page
    manifest = (plan.report.parent / "manifest.json").read_text()
    assert '"dataset": "mine"' in manifest and str(store.path) not in manifest
