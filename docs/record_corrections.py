"""Writes docs/corrections.md: one person corrects ten answers on the command line, Moho learns from them, and other requests are asked again.

Nothing is acted: every command is run, on a made earth, in a fresh Moho folder. `make recording` (about a quarter of an hour on one core).
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from moho.agent.better import meant_alike
from moho.agent.decisions import decided
from moho.project import Project
from moho.rl.evaluate import survey

EARTH = 57
CORRECTED = 10
MINUTES = 6
REQUESTS = [  # (what a person says, the call it means)
    *((words.format(f), f'filter_waveforms(waveforms="rjob", high="{f} Hz")') for words, f in (
        ("rjob: everything over {} Hz has to go", 5), ("get rid of all above {} Hz in rjob", 8), ("nothing over {} Hz in rjob please", 3),
        ("rjob, lose whatever is higher than {} Hz", 6), ("throw away what lies above {} Hz in rjob", 4), ("rjob without anything over {} Hz", 10),
        ("strip rjob of all that is over {} Hz", 2), ("kill the part of rjob above {} Hz", 7), ("only the slow part of rjob, under {} Hz", 5),
        ("rjob: no energy over {} Hz", 6), ("cut rjob's highs from {} Hz on", 8), ("take out the fast stuff over {} Hz in rjob", 12),
        ("whatever in rjob is faster than {} Hz, out with it", 9), ("I don't want to see more than {} Hz in rjob", 4),
    )),
    *((words.format(v), f'nmo_stack(gather="shots", velocity="{v} m/s")') for words, v in (
        ("stack shots at {} m/s", 2200), ("squash shots together with {} m/s", 2100), ("sum shots into a section, {} m/s", 2300),
        ("make one section of shots at {} m/s", 2000), ("fold shots together at {} m/s", 2400), ("shots, stacked, {} m/s", 2150),
        ("collapse shots with {} m/s", 2250), ("add shots up along {} m/s", 2350), ("shots to stack: {} m/s", 2050),
        ("pile shots up at {} m/s", 1950),
        ("turn shots into a stack with {} m/s", 2120), ("flatten shots with {} m/s and sum", 2280),
    )),
]  # fmt: skip


class Shell:
    """Runs `moho` in a folder of its own and keeps what was said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []

    def run(self, *words: str, show: bool = True) -> str:
        """What a command prints; where it is shown, as a reader would type and see it."""
        environment = os.environ | {"MOHO_HOME": str(self.folder / "home"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run([str(Path(sys.executable).with_name("moho")), *words], env=environment, cwd=self.folder, capture_output=True, text=True)
        if done.returncode not in (0, 6):
            raise SystemExit(f"{shlex.join(words)}: {done.stdout[-1000:]} {done.stderr[-2000:]}")
        if show:
            self.lines += [f"$ moho {shlex.join(words)}", *done.stdout.strip().splitlines()]
        return done.stdout

    def ask(self, project: str, files: list[str]) -> dict[str, Asked]:
        """What becomes of every request, each in a conversation of its own."""
        rows = [{"id": f"r{number}", "request": request, "data": files} for number, (request, _) in enumerate(REQUESTS)]
        (self.folder / f"{project}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        self.run("batch", f"{project}.jsonl", "--project", project, "--out", f"{project}-answers", show=False)
        place = Project.open(self.folder / project, create=False)
        found = {}
        for number, (request, wanted) in enumerate(REQUESTS):
            row = json.loads((self.folder / f"{project}-answers" / f"r{number}.json").read_text())
            made = decided(place, place.run(row["run_id"]))
            found[request] = Asked(row["run_id"], made[0].reply if made else "-", row["answer"], bool(made) and meant_alike(made[0].reply, wanted))
        return found


@dataclass(frozen=True)
class Asked:
    """A request's run, the model's first line, what it answered in the end, and whether the line means the right call."""

    run: str
    line: str
    answer: str
    right: bool

    def __str__(self) -> str:
        return f"{'right' if self.right else 'wrong'}: `{self.line}`"


def main() -> None:
    """Ask, correct, learn, ask again; write the page."""
    with tempfile.TemporaryDirectory() as name:
        shell = Shell(Path(name))
        _, paths, _ = survey(EARTH)
        files = [f"{called}{paths[file].suffix}" for file, called in (("waveforms", "rjob"), ("gather", "shots"))]
        for copy, file in zip(files, ("waveforms", "gather"), strict=True):
            shutil.copy(paths[file], shell.folder / copy)
        before = shell.ask("before", files)
        wrong = [(request, wanted) for request, wanted in REQUESTS if not before[request].right]
        print(f"{len(wrong)} of {len(REQUESTS)} wrong", file=sys.stderr)
        corrected = wrong[::2][:CORRECTED] if len(wrong) >= 2 * CORRECTED else wrong[:CORRECTED]
        for request, wanted in corrected:
            shell.lines += ["", f"$ moho ask {shlex.quote(request)}", before[request].answer]
            shell.run("feedback", before[request].run, "--bad", "--better", wanted, "--project", "before")
        page = ["# Ten corrections", "", f"A made earth; {len(REQUESTS)} requests of two habits of speech, of which Moho got {len(wrong)} wrong.", ""]
        page += [f"A person corrects {len(corrected)} of the wrong ones, on the command line:", "", "```", *shell.lines, "```", ""]
        shell.lines = []
        shell.run("train", "ppo", "--feedback", "--minutes", str(MINUTES), "--decisions", "150", "--yes")
        page += ["Moho learns from them. What it shows is measured on corrections it has not learned from, and on made decisions:", "", "```"]
        page += [*shell.lines, "```", ""]
        after = shell.ask("after", files)
        said = {request for request, _ in corrected}
        page += ["The same requests again:", "", "| request | before | after |", "|---|---|---|"]
        for request, _ in REQUESTS:
            mark = " (corrected)" if request in said else ""
            page.append(f"| {request}{mark} | {before[request]} | {after[request]} |")
        others = [request for request, _ in REQUESTS if request not in said]
        shares = [sum(not rows[request].right for request in others) for rows in (before, after)]
        page += ["", f"Of the {len(others)} requests that nobody corrected, {shares[0]} were wrong before and {shares[1]} are wrong now.", ""]
        (Path(__file__).parent / "corrections.md").write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    main()
