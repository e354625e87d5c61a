"""A real Slurm on this machine for as long as a test lasts: two nodes of two cores and two make-believe GPUs each.

Everything is private to a temporary folder and listens on the loopback alone; the programs are of Debian's packages
slurmctld, slurmd, slurm-client and munge (``tools/slurm.sh``). No accounting database: c2vl_lab asks for none.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NODES = ("n1", "n2")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "srun")
CONF = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
AccountingStorageType=accounting_storage/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=2,batch_sched_delay=0
SlurmdParameters=config_overrides
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
MpiDefault=none
ReturnToService=2
KillWait=30
MinJobAge=300
MailProg={true}
GresTypes=gpu
{nodes}
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str:
    """Why there can be no such cluster here; empty where there can."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return (
            f"no Slurm on this machine ({', '.join(absent)} not found); `make test-cluster` installs Debian's packages"
        )
    return "" if os.geteuid() == 0 else "starting a cluster of one's own wants root"


@contextmanager
def cluster() -> Iterator[Path]:
    """Start it, set SLURM_CONF, and end it with everything in it."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    _write_settings(folder)
    processes: list[subprocess.Popen[bytes]] = []

    def up(*command: str) -> None:
        with open(folder / "daemons.out", "ab") as out:  # in the foreground, so that they are ours to end
            processes.append(
                subprocess.Popen(command, env=environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
            )

    try:
        m = folder / "munge"
        up("munged", "-F", f"--key-file={folder}/munge.key", f"--socket={m}/socket", f"--pid-file={m}/pid",
           f"--log-file={m}/log", f"--seed-file={m}/seed", "--num-threads=2")  # fmt: skip
        _until(lambda: (m / "socket").exists(), folder)
        up("slurmctld", "-D", "-c")
        for node in NODES:
            up("slurmd", "-D", "-N", node)
        os.environ["SLURM_CONF"] = environment["SLURM_CONF"]
        _until(lambda: set(ask("sinfo", "-h", "-N", "-t", "idle", "-o", "%N").split()) == set(NODES), folder)
        yield folder
    finally:
        ask("scancel", "--me", "--signal=KILL")
        for process in reversed(processes):
            process.terminate()
        for process in reversed(processes):
            try:
                process.wait(8)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        os.environ.pop("SLURM_CONF", None)
        shutil.rmtree(folder, ignore_errors=True)


def ask(*command: str) -> str:
    """A client's answer; empty where it fails or is silent."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
    except subprocess.TimeoutExpired:
        return ""


def _write_settings(folder: Path) -> None:
    """Key, slurm.conf and gres.conf."""
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir()
    (folder / "munge").chmod(0o755)
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    host = socket.gethostname().split(".")[0]
    about = "NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=4000 Gres=gpu:2 State=UNKNOWN"
    nodes = "\n".join(f"NodeName={node} {about.format(host=host, port=_free_port())}" for node in NODES)
    true = shutil.which("true")
    text = CONF.format(host=host, port=_free_port(), folder=folder, true=true, nodes=nodes)
    (folder / "slurm.conf").write_text(text)
    devices = [f"NodeName={node} Name=gpu File={path}\n" for node in NODES for path in ("/dev/null", "/dev/zero")]
    (folder / "gres.conf").write_text("".join(devices))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _until(condition, folder: Path, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            logs = [path.read_text(errors="replace")[-1500:] for path in folder.glob("*.[lo][ou][gt]")]
            raise RuntimeError("Slurm did not start:\n" + "\n".join(logs))
        time.sleep(0.1)
