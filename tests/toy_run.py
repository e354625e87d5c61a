"""Stands in for ``c2vl run``: a run of a tenth of a second that checkpoints, made to be killed. No package is imported.

Its results are a chain of digests, so that a step that was left out or done twice shows in them.
"""

import hashlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

STEPS, EVERY = 12, 3


def write(path, text):
    """Beside, then renamed."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text)
    os.replace(beside, path)


def befall(arm, folder):
    """What a test wants to happen to this run."""
    with open(folder / "starts", "a") as stream:
        stream.write(f"{os.environ.get('CUDA_VISIBLE_DEVICES')}\n")
    if arm.startswith("flaky") and len((folder / "starts").read_text().split()) <= int(arm[-1]):
        print("c2vl: It broke.")
        sys.exit(2)
    if arm in ("listens", "deaf"):
        if arm == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        status = {"state": "running", "epoch": 1, "epochs": 9, "pid": os.getpid(), "host": socket.gethostname()}
        write(folder / "status.json", json.dumps(status))
        while arm == "deaf" or not (folder / "STOP").exists():
            time.sleep(0.01)
        write(folder / "stopped", "after a checkpoint")
        write(folder / "status.json", json.dumps(status | {"state": "stopped"}))
        print("c2vl: Stopped.")
        sys.exit(2)


def main(output, file):
    """Train, measure, and leave an executed notebook."""
    parameters = json.loads(Path(file).read_text())
    folder, seed = Path(output).parent, parameters["seed"]
    befall(parameters["arm"], folder)
    done, chain = 0, hashlib.sha256(f"{parameters['arm']} {seed}".encode()).hexdigest()
    if (folder / "checkpoint").exists():
        done, chain = json.loads((folder / "checkpoint").read_text())
    while done < STEPS:
        time.sleep(0.006)
        done, chain = done + 1, hashlib.sha256(f"{chain} {done}".encode()).hexdigest()
        if done % EVERY == 0:
            write(folder / "checkpoint", json.dumps([done, chain]))
    write(folder / "predictions", chain)
    write(folder / "results.json", json.dumps({"config": parameters, "metrics": {"linear": int(chain[:4], 16)}}))
    cell = {"cell_type": "code", "source": "1", "execution_count": 1, "outputs": []}
    write(Path(output), json.dumps({"cells": [cell | {"metadata": {"papermill": {"status": "completed"}}}]}))
    with open(folder.parent / "finished.txt", "a") as stream:
        stream.write(f"{folder.name} {json.loads((folder / 'run.json').read_text())['code']}\n")


if __name__ == "__main__":
    given = sys.argv[1:]
    if given[0] == "pretrain":  # of several devices, in a process before
        about = json.loads(Path(given[given.index("--parameters") + 1]).read_text())
        write(Path(given[given.index("--run-dir") + 1]) / "devices", given[given.index("--devices") + 1])
        sys.exit(3 if about["arm"] == "unlucky" else 0)
    main(given[given.index("--output") + 1], given[given.index("--parameters") + 1])
