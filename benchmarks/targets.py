"""What soft targets point at: ``python -m benchmarks.targets RUN... [--work-dir DIR] [--data DIR]``.

For finished runs of arm full: how much of their intra-modal and inter-modal targets falls on clips of the same class,
beside the share that chance would put there. Mean and spread over the runs. Labels are read for looking alone.
"""

from __future__ import annotations

import argparse

from benchmarks.measuring import one_thread

one_thread()

import pandas as pd  # noqa: E402 - after the number of threads is set

from c2vl_lab.evaluate.run_points import open_run  # noqa: E402
from c2vl_lab.evaluate.target_classes import target_classes  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of finished runs of arm full")
    parser.add_argument("--work-dir", default="work", help="stores and caches")
    parser.add_argument("--data", default="", help="folder of the published files; default: the run's own")
    chosen = parser.parse_args()
    tables = [target_classes(open_run(run, chosen.work_dir, chosen.data, "cpu")) for run in chosen.runs]
    rows = pd.concat(tables).groupby(["pair", "target"], sort=False)
    scale = lambda value: f"{100 * value:.1f}"  # noqa: E731
    means, spreads = rows.mean(), rows.std()
    several = len(tables) > 1
    for key in means.index:
        each = [f"{scale(means.loc[key, n])}{' ± ' + scale(spreads.loc[key, n]) if several else ''}" for n in means]
        print("  ".join([f"{key[0]:20} {key[1]:12}", *(f"{n}: {text}" for n, text in zip(means, each, strict=True))]))
    print(f"{len(tables)} runs, shares of a target in %")


if __name__ == "__main__":
    main()
