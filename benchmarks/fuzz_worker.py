"""The process that opens damaged inputs: its memory is bounded, its writes are watched, its output is caught.

It reads one request a line from its standard input, ``{"format": ..., "seed": ..., "number": ...}``, and answers each
with one line of JSON: the outcome (``stored``, ``refused`` or ``violation``) and why.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from benchmarks.fuzz_pickles import CANARY

MEMORY = 2 * 2**30  # bytes that reading may take beyond what the loaded packages take
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
PATH_EVENTS = ("os.mkdir", "os.rename", "os.link", "os.symlink", "os.truncate", "os.remove", "os.rmdir", "os.chmod")
FORBIDDEN_EVENTS = (
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.startfile", "os.putenv", "subprocess.Popen",
    "socket.connect", "socket.bind", "ctypes.dlopen", "pty.spawn", "webbrowser.open", "code.__new__",
)  # fmt: skip
HARMLESS_GLOBALS = {
    (module, name)
    for module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy._core.numeric", "_codecs")
    for name in ("ndarray", "dtype", "_reconstruct", "scalar", "_frombuffer", "encode")
}


class Watch:
    """Notes every attempt to write outside ``scratch`` or to run something, while it is on."""

    def __init__(self, scratch: Path):
        self.on = False
        self.seen: list[str] = []
        self._root = os.path.realpath(scratch) + os.sep
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, (str, bytes, os.PathLike)) and isinstance(flags, int) and flags & WRITING:
                self._inside(event, path)
        elif event in PATH_EVENTS:
            for path in arguments[:2]:
                if isinstance(path, (str, bytes, os.PathLike)):
                    self._inside(event, path)
        elif event in FORBIDDEN_EVENTS:
            self.seen.append(f"{event} {arguments!r:.200}")
        elif event == "pickle.find_class" and tuple(arguments) not in HARMLESS_GLOBALS:
            self.seen.append(f"unpickles {'.'.join(map(str, arguments))}")

    def _inside(self, event: str, path: Any) -> None:
        name = os.fsdecode(path)
        real = os.path.join(os.path.realpath(os.path.dirname(name) or "."), os.path.basename(name))
        if not real.startswith(self._root) and real != os.devnull:
            self.seen.append(f"{event} outside the scratch folder: {name}")


def serve(scratch: Path) -> None:
    """Answer requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    caught = open(scratch / "output", "w+b", buffering=0)  # noqa: SIM115 - for the life of the process
    os.dup2(caught.fileno(), 1)
    os.dup2(caught.fileno(), 2)
    os.chdir(scratch)  # where the bombs would leave their canary
    warnings.simplefilter("always")
    warm_up(scratch)
    watch = Watch(scratch)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        answer = attack(json.loads(line), scratch, watch, caught)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def warm_up(scratch: Path) -> None:
    """Load every package and build every sound input before the memory is counted."""
    from benchmarks.fuzz_cases import make_case, write_case
    from benchmarks.fuzz_inputs import FORMATS
    from benchmarks.fuzz_runs import run_case

    for form in FORMATS:
        case = make_case(form, 0, 0)
        try:
            write_case(case, scratch / "warm" / "in")
            run_case(form, case, scratch / "warm", None)
        except Exception:
            traceback.print_exc()  # the undamaged input is a case of its own, where this is told
        shutil.rmtree(scratch / "warm", ignore_errors=True)


def attack(request: dict[str, Any], scratch: Path, watch: Watch, caught: Any) -> dict[str, Any]:
    """Run one case and judge what came of it."""
    from benchmarks.fuzz_cases import case_rng, make_case, write_case
    from benchmarks.fuzz_inputs import FORMATS
    from benchmarks.fuzz_runs import run_case

    form = next(form for form in FORMATS if form.name == request["format"])
    case = make_case(form, request["seed"], request["number"])
    rng = case_rng(request["seed"], form.name + "/run", request["number"]) if request["number"] else None
    folder = scratch / f"case-{case.format}-{case.number}"  # readers may remember an archive by its path
    write_case(case, folder / "in")
    caught.truncate(0)
    caught.seek(0)
    _reset_peak()
    before = _around(scratch)
    watch.seen.clear()
    start = time.monotonic()
    watch.on = True
    try:
        outcome, why = run_case(form, case, folder, rng)
    except (Exception, SystemExit) as error:
        outcome, why = "violation", _short_traceback(error)
    finally:
        watch.on = False
    seconds = time.monotonic() - start
    problem = _damage_done(scratch, folder, before, watch, caught)
    keep = request.get("keep")
    if keep and (problem or outcome == "violation"):
        shutil.copytree(folder / "in", Path(keep) / f"{case.format}-{case.number}", symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    return {
        "outcome": "violation" if problem else outcome,
        "why": problem or why,
        "what": "; ".join(case.what)[:500],
        "seconds": seconds,
        "peak": _peak(),
    }


def _short_traceback(error: BaseException) -> str:
    """The error and the last places in the code."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    places = " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames))
    return f"{type(error).__name__}: {str(error)[:300]} [{places}]"


def _damage_done(scratch: Path, folder: Path, before: set[str], watch: Watch, caught: Any) -> str:
    """What the case did that no input may bring about; empty: nothing."""
    if os.environ.pop(CANARY, None) or (scratch / CANARY).exists():
        (scratch / CANARY).unlink(missing_ok=True)
        return "code from the input was run"
    if watch.seen:
        return "; ".join(watch.seen[:3])
    new = _around(scratch) - before
    if new:
        return f"files outside the work folder: {sorted(new)[:5]}"
    strange = {entry.name for entry in folder.iterdir()} - {"in", "work"} if folder.is_dir() else set()
    if strange:
        return f"files outside the work folder: {sorted(strange)[:5]}"
    caught.seek(0)
    printed = caught.read().decode(errors="replace").strip()
    return f"printed: {printed[:400]}" if printed else ""


def _around(scratch: Path) -> set[str]:
    """What lies about the case: nothing may be added to it."""
    places = {scratch, Path.home(), Path(tempfile.gettempdir())}
    return {str(entry) for place in places for entry in place.iterdir() if not entry.name.startswith("case-")}


def _reset_peak() -> None:
    """Let the kernel count the peak of resident memory anew."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak() -> int:
    """Peak of resident memory in bytes since the last reset."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    serve(Path(sys.argv[1]))
