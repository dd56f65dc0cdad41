"""Compare lmmcore with other packages, or measure the memory of its fits.

Peers take turns, so that each ratio is of runs close in time. Run it on an idle machine: packages
that use several threads lose far more than others to what else runs.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import problems
from peers import PEERS, SLOW, Fit, Run
from problems import Problem

import lmmcore

AT_LEAST = 0.05  # seconds of a repetition: several fits where one is shorter
MOST = 30  # fits of a repetition


def main() -> None:
    options = _options()
    warnings.simplefilter("ignore")
    warnings.simplefilter("always", lmmcore.LmmcoreWarning)
    if options.memory_of:
        print(*_memory(problems.load(*options.memory_of)))
    elif options.memory:
        print("                 MB: data  design  of it copied   growth of the peak in a fit")
        for name in options.problems:
            data, design, copied, growth = _memory_of(name)
            print(f"{name:<16} {data:8.1f} {design:7.1f} {copied:13.1f} {growth:28.1f}")
    else:
        for name in options.problems:
            problem = problems.make(name)
            print(f"\n{name}: {problem.title}\n", flush=True)
            skip = set() if options.slow else {peer for peer, of in SLOW if of == name}
            peers = [peer for peer in options.peers if peer not in skip]
            _table(*_measure(problem, peers, options.repeat, options.limit))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    known = (*problems.NAMES, *problems.LARGE)
    parser.add_argument("--problems", type=_names(known), default=list(problems.NAMES))
    parser.add_argument("--peers", type=_names(tuple(PEERS)), default=list(PEERS))
    parser.add_argument("--repeat", type=int, default=5, help="repetitions (default 5)")
    parser.add_argument(
        "--limit", type=float, default=60.0,
        help="seconds after which a peer repeats no more (default 60)",
    )  # fmt: skip
    parser.add_argument("--slow", action="store_true", help="also fits that take minutes")
    parser.add_argument("--memory", action="store_true", help="memory of lmmcore's fits")
    parser.add_argument("--memory-of", nargs=2, metavar=("FOLDER", "NAME"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        options.memory_of[0] = Path(options.memory_of[0])
    return options


def _names(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    def split(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(known)}")
        return names

    return split


def _measure(
    problem: Problem, names: list[str], repeat: int, limit: float
) -> tuple[dict[str, list[Run]], dict[str, str]]:
    """Return the repetitions of each peer, and why others have none."""
    fits: dict[str, Fit] = {}
    runs: dict[str, list[Run]] = {name: [] for name in names}
    spent: dict[str, float] = {}
    missing: dict[str, str] = {}
    for turn in range(repeat + 1):
        for name in [name for name in names if name not in missing]:
            if turn > 1 and spent[name] > limit:
                continue
            start = time.perf_counter()
            try:
                if turn == 0:
                    fits[name] = PEERS[name](problem)
                    fits[name]()  # a warm-up: imports and first calls
                else:
                    runs[name].append(_repetition(fits[name]))
            except ImportError as error:
                missing[name] = f"not installed ({error})"
            except Exception as error:
                missing[name] = f"failed ({type(error).__name__}: {error})"
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
    return {name: done for name, done in runs.items() if name not in missing}, missing


def _repetition(fit: Fit) -> Run:
    """Return the median of as many fits as it takes to have something to measure."""
    runs = [fit()]
    while sum(run.seconds for run in runs) < AT_LEAST and len(runs) < MOST:
        runs.append(fit())
    return Run(median(run.seconds for run in runs), runs[-1].criterion)


def _table(runs: dict[str, list[Run]], missing: dict[str, str]) -> None:
    ours = runs.get("lmmcore")
    print(f"{'peer':<12} {'seconds':>11} {'ratio':>9} {'criterion':>12} {'runs':>5}")
    for name, done in runs.items():
        ratio = difference = math.nan
        if ours is not None:
            ratio = median(theirs.seconds / own.seconds for theirs, own in zip(done, ours))
            difference = done[-1].criterion - ours[-1].criterion
        shown = "" if math.isnan(difference) else f"{difference:+.2e}"
        seconds = median(run.seconds for run in done)
        print(f"{name:<12} {seconds:11.6f} {ratio:9.3g} {shown:>12} {len(done):5d}")
    for name, why in missing.items():
        print(f"{name:<12} {why.splitlines()[0][:80]}")


def _memory_of(name: str) -> list[float]:
    """Measure in a process that has not yet seen any data."""
    with tempfile.TemporaryDirectory() as folder:
        problems.make(name).save(Path(folder))
        command = [sys.executable, __file__, "--memory-of", folder, name]
        return [float(word) for word in subprocess.check_output(command, text=True).split()]


def _memory(problem: Problem) -> tuple[float, float, float, float]:
    """Return bytes of the data, of the design, of its copies, and by which a fit raises the peak.

    All in MB.
    """
    PEERS["lmmcore"](problems.make("P1"))()
    before = _peak()
    PEERS["lmmcore"](problem)()
    growth = _peak() - before
    frame = problem.frame
    design = lmmcore.mixedlm(problem.lmer, frame).design
    codes = [g.codes for g in design.groupings]
    columns = [design.endog, *design.fixed, *design.random, *codes]
    sizes = {c.__array_interface__["data"][0]: c.nbytes for c in columns if c is not None}
    data = {c.to_numpy().__array_interface__["data"][0] for _, c in frame.items()}
    copied = sum(size for where, size in sizes.items() if where not in data)
    frame_bytes = int(frame.memory_usage(index=False).sum())
    return frame_bytes / 1e6, sum(sizes.values()) / 1e6, copied / 1e6, growth / 1e6


def _peak() -> int:
    """Return the peak of this process's resident memory in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts the parent of a process on Linux
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


if __name__ == "__main__":
    main()
