"""Cases: a sound input of one format with one to three kinds of damage, fixed by (seed, format, number) alone."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from benchmarks.fuzz_archives import ZIP_MUTATIONS, members_of, zip_bytes
from benchmarks.fuzz_arrays import MATLAB_MUTATIONS, NPY_MUTATIONS
from benchmarks.fuzz_inputs import Format
from benchmarks.fuzz_pickles import PICKLE_MUTATIONS
from benchmarks.fuzz_text import BYTE_MUTATIONS, JSON_MUTATIONS, TEXT_MUTATIONS, Mutant, Mutation, Rng

OF_SUFFIX: dict[str, list[Mutation]] = {
    ".skeleton": TEXT_MUTATIONS,
    ".txt": TEXT_MUTATIONS,
    ".csv": TEXT_MUTATIONS,
    ".json": JSON_MUTATIONS + TEXT_MUTATIONS[:6],
    ".npy": NPY_MUTATIONS,
    ".pkl": PICKLE_MUTATIONS,
    ".mat": MATLAB_MUTATIONS,
    ".zip": ZIP_MUTATIONS,
    ".npz": ZIP_MUTATIONS,
}
SPARSE = 5 * 2**30  # bytes of a file that is one long hole


@dataclass(frozen=True)
class Special:
    """Something in the place of a file: ``folder``, ``fifo``, ``hole``, or a symbolic link to ``target``."""

    kind: str
    target: str = ""


@dataclass
class Case:
    """One attack.

    Attributes:
        format: name of the format.
        number: which case of it; 0 is undamaged.
        files: path inside the data folder -> content.
        what: the damage in words.
        names: an error must hold one of these: the file at fault.
        line: the line that an error must name.
    """

    format: str
    number: int
    files: dict[str, bytes | Special]
    what: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    line: int | None = None


def case_rng(seed: int, name: str, number: int) -> Rng:
    """The random source of a case: nothing else goes into it."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), number])


def make_case(form: Format, seed: int, number: int) -> Case:
    """The case ``number`` of a format; number 0 is the undamaged input."""
    case = Case(form.name, number, dict(form.files()))
    if number == 0:
        case.what.append("undamaged")
        return case
    rng = case_rng(seed, form.name, number)
    if not case.files:  # arguments in memory: they are spoiled where they are used
        case.names |= {"own", "layout"}
    elif rng.random() < 0.1:
        _damage_tree(case, rng)
    else:
        _damage_files(case, rng)
    if not form.alone:
        case.names |= {PurePosixPath(path).name for path in form.files()}
    return case


def _damage_files(case: Case, rng: Rng) -> None:
    """One to three kinds of damage; only the first looks into the file, which is still sound then."""
    path = list(case.files)[int(rng.integers(len(case.files)))]
    count = int(rng.choice([1, 2, 3], p=[0.75, 0.15, 0.1]))
    data = case.files[path]
    if isinstance(data, Special):
        return
    mutant, member = damage(PurePosixPath(path).name, data, rng)
    case.names |= {PurePosixPath(path).name, PurePosixPath(member or path).name}
    case.what.append(f"{path}: {mutant.what}")
    line = mutant.line
    for _ in range(count - 1):
        mutation = BYTE_MUTATIONS[int(rng.integers(len(BYTE_MUTATIONS)))]
        mutant = mutation(mutant.data, rng)
        case.what.append(mutant.what)
    case.files[path] = mutant.data
    case.line = line if count == 1 else None


def damage(name: str, data: bytes, rng: Rng) -> tuple[Mutant, str | None]:
    """A file's mutant by its suffix, and the member that was damaged where the file is an archive."""
    suffix = PurePosixPath(name).suffix
    if suffix in (".zip", ".npz") and rng.random() < 0.55:
        members = members_of(data) or []
        files = [i for i, m in enumerate(members) if PurePosixPath(m.name.decode()).suffix in OF_SUFFIX]
        if files:
            at = files[int(rng.integers(len(files)))]
            member = members[at].name.decode()
            mutant, _ = damage(member, members[at].data, rng)
            members[at] = type(members[at])(members[at].name, mutant.data)
            return Mutant(zip_bytes(members), f"{member}: {mutant.what}", mutant.line), member
    special = OF_SUFFIX.get(suffix, [])
    pool = special if special and rng.random() < 0.75 else BYTE_MUTATIONS
    return pool[int(rng.integers(len(pool)))](data, rng), None


def _damage_tree(case: Case, rng: Rng) -> None:
    """A file is missing, is no file, has another name or a double."""
    path = list(case.files)[int(rng.integers(len(case.files)))]
    name, folder = PurePosixPath(path).name, PurePosixPath(path).parent
    data = case.files.pop(path)
    choice = int(rng.integers(9))
    specials = {
        1: Special("folder"),
        2: Special("fifo"),
        3: Special("hole"),
        4: Special("link", name),
        5: Special("link", "/dev/zero"),
        6: Special("link", "/no/such/place"),
        7: Special("link", "../../../../../../../../etc/passwd"),
    }
    if choice in specials:
        case.files[path] = specials[choice]
        case.what.append(f"{path}: {specials[choice].kind} {specials[choice].target}".rstrip())
    elif choice == 8:
        new = ["x" + name, name.upper(), name + ".bak", "nested/" + name, "a\nb" + name, "\udcff" + name][
            int(rng.integers(6))
        ]
        case.files[str(folder / new)] = data
        if rng.random() < 0.5:
            case.files[path] = data
        case.names.add(PurePosixPath(new).name)
        case.what.append(f"{path}: also or only as {new!r}")
    else:
        case.what.append(f"{path}: missing")
    case.names |= {name, *PurePosixPath(path).parts, "in"}


def write_case(case: Case, folder: Path) -> None:
    """Put the input on the disk."""
    folder.mkdir(parents=True)
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content.kind == "folder":
            path.mkdir()
        elif content.kind == "fifo":
            os.mkfifo(path)
        elif content.kind == "link":
            path.symlink_to(content.target)
        else:
            with open(path, "wb") as hole:
                hole.truncate(SPARSE)
