"""One measured run of one command: wall time, CPU of its whole process tree, peak memory.

CPU comes from the kernel's account of the child and every descendant it waited for. Memory is the
largest sum of resident sizes over the tree, sampled 20 times a second; a tree that stayed a single
process is given the kernel's own high-water mark instead, which misses nothing.
"""

import dataclasses
import os
import pathlib
import signal
import subprocess
import threading
import time

SAMPLE_SECONDS = 0.05
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclasses.dataclass
class Run:
    wall: float
    cpu: float
    peak_bytes: int
    exit_code: int
    stdout: str
    log: str
    timed_out: bool = False


def tree_of(root):
    """Process ids of root and its descendants, as far as they still live."""
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for task in tasks:
            try:
                with open(f"/proc/{pid}/task/{task}/children") as children:
                    waiting.extend(int(child) for child in children.read().split())
            except OSError:
                pass
    return found


def resident_bytes(pid):
    try:
        with open(f"/proc/{pid}/statm") as statm:
            return int(statm.read().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def high_water_bytes(pid):
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class MemoryWatch(threading.Thread):
    """Samples a process tree until told to stop."""

    def __init__(self, root):
        super().__init__(daemon=True)
        self._root = root
        self._stopped = threading.Event()
        self._sampled = 0
        self._high_water = 0

    def run(self):
        while not self._stopped.is_set():
            pids = tree_of(self._root)
            self._sampled = max(self._sampled, sum(resident_bytes(pid) for pid in pids))
            self._high_water = max([self._high_water, *(high_water_bytes(pid) for pid in pids)])
            self._stopped.wait(SAMPLE_SECONDS)

    def peak(self, kernel_max_bytes):
        """ru_maxrss also remembers this program's own size at the fork, so it counts only above that."""
        self._stopped.set()
        self.join()
        own = high_water_bytes(os.getpid())
        return max(self._sampled, self._high_water, kernel_max_bytes if kernel_max_bytes > own else 0)


def measure(command, folder, environment, timeout):
    """Run a command in a folder until it ends or its time is up; its output is kept there."""
    folder = pathlib.Path(folder)
    out_path, log_path = folder / "stdout.txt", folder / "stderr.txt"
    with open(out_path, "wb") as out, open(log_path, "wb") as log:
        started = time.monotonic()
        child = subprocess.Popen(list(map(str, command)), cwd=folder, env=environment,
                                 stdin=subprocess.DEVNULL, stdout=out, stderr=log, start_new_session=True)
        watch = MemoryWatch(child.pid)
        watch.start()
        expired = threading.Event()

        def kill():
            expired.set()
            os.killpg(child.pid, signal.SIGKILL)

        limit = threading.Timer(timeout, kill)
        limit.start()
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        finally:
            limit.cancel()
        wall = time.monotonic() - started
        child.returncode = os.waitstatus_to_exitcode(status)
    return Run(wall, usage.ru_utime + usage.ru_stime, watch.peak(usage.ru_maxrss * 1024), child.returncode,
               out_path.read_text(errors="replace"), log_path.read_text(errors="replace"), expired.is_set())
