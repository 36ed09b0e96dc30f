"""The demo: a made survey whose truth is known and a real seismogram, and five requests in words on the embedded model.

`python -m moho.agent.demo [FOLDER]` makes FOLDER (default moho-demo) with `survey/`, the files as they come from the field, and
`project/`. The real seismogram with its response is the one that ObsPy's package carries.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moho.agent import graph
from moho.agent.model import make
from moho.errors import MohoError
from moho.project import Project

SEED = 21  # of the made earth


@dataclass(frozen=True)
class Act:
    """One request of the demo, the files it works on, and what is known to be true."""

    title: str
    request: str
    files: tuple[str, ...]
    truth: Callable[[Mapping[str, Any]], str]  # the truth in words
    right: Callable[[graph.Outcome, Project, Mapping[str, Any]], bool]


def number(outcome: graph.Outcome, key: str) -> Any:
    """The value of the last step's number under `key`, wherever the answer bound it; KeyError when the answer does not state it."""
    bound = {entry["source"].rpartition(":")[2]: entry["value"] for entry in outcome.numbers}
    return bound[key]


def near(value: float, truth: float, tolerance: float) -> bool:
    """Whether a number is within `tolerance` of the truth."""
    return abs(float(value) - truth) <= tolerance


def band_right(outcome: graph.Outcome, project: Project, truth: Mapping[str, Any]) -> bool:
    """Whether the band is that of the mean power spectrum of the section, worked out here."""
    import numpy as np

    from moho.encoders.synthetic import earth

    section = earth(SEED).section
    power = np.mean(np.abs(np.fft.rfft(section.data * np.hanning(section.data.shape[1]))) ** 2, axis=0)
    share = np.cumsum(power) / power.sum()
    frequency = np.fft.rfftfreq(section.data.shape[1], section.dt)
    low, high = number(outcome, "energy_band")
    return near(low, float(np.interp(0.05, share, frequency)), 1.0) and near(high, float(np.interp(0.95, share, frequency)), 1.0)


def shale_right(outcome: graph.Outcome, project: Project, truth: Mapping[str, Any]) -> bool:
    """Whether the mean shale volume is that of the gamma ray, clipped to 0 and 1."""
    import numpy as np

    from moho.encoders.synthetic import earth

    gamma = np.clip((earth(SEED).well.curve("GR") - 25.0) / 90.0, 0, 1)
    return near(number(outcome, "mean"), float(np.nanmean(gamma)), 0.005)


def bouguer_right(outcome: graph.Outcome, project: Project, truth: Mapping[str, Any]) -> bool:
    """Whether the mean agrees with Somigliana's closed form to second order in height, and the slab."""
    import numpy as np

    from moho.encoders.synthetic import earth

    gravity = earth(SEED).gravity
    assert gravity.latitude is not None
    assert gravity.height is not None
    sine = np.sin(np.radians(gravity.latitude)) ** 2
    normal = 978032.53359 * (1 + 0.00193185265241 * sine) / np.sqrt(1 - 0.00669437999014 * sine)
    free_air = 0.30877 * (1 - 0.00142 * sine) * gravity.height - 0.75e-7 * gravity.height**2
    slab = 2e5 * np.pi * 6.6743e-11 * 2670 * gravity.height
    return near(number(outcome, "mean"), float(np.mean(gravity.value - normal + free_air - slab)), 0.3)


def velocity_right(outcome: graph.Outcome, project: Project, truth: Mapping[str, Any]) -> bool:
    """Whether the peak ground velocity in the band is that of the record put through ObsPy alone, to a few percent."""
    import numpy as np
    import obspy

    stream = obspy.read().detrend("linear").taper(0.05)
    stream.remove_response(obspy.read_inventory(), output="VEL", pre_filt=(0.5, 1.0, 20.0, 25.0), water_level=None)
    peak = max(float(np.abs(trace.data).max()) for trace in stream)
    return outcome.steps[-1].arguments["output"] == "velocity" and near(number(outcome, "peak"), peak, 0.1 * peak)


def impedance_right(outcome: graph.Outcome, project: Project, truth: Mapping[str, Any]) -> bool:
    """Whether the inverted impedance correlates with the true one, which the demo kept apart, as a whole and above 12 Hz.

    A low-frequency model alone has nothing there, and correlates as a whole.
    """
    import numpy as np
    from scipy.signal import butter, sosfiltfilt

    from moho.encoders.synthetic import earth
    from moho.survey import Seismic

    made = [step.result["name"] for step in outcome.steps if step.result.get("name")]
    inverted = project.load(made[-1]) if made else None
    if not isinstance(inverted, Seismic):
        return False
    true = np.asarray(earth(SEED).truth["impedance"])
    rows = slice(25, -25)  # the wavelet's length at either end
    if inverted.data.shape != true.shape or float(np.corrcoef(inverted.data[:, rows].ravel(), true[:, rows].ravel())[0, 1]) <= 0.85:
        return False
    high = butter(4, 12.0, "highpass", fs=1 / inverted.dt, output="sos")
    detail, wanted = (sosfiltfilt(high, one, axis=1)[:, rows].ravel() for one in (inverted.data, true))
    return float(np.corrcoef(detail, wanted)[0, 1]) > 0.5


def survey(folder: Path) -> dict[str, Path]:
    """The files of the demo, and `truth`."""
    import obspy

    from moho.encoders import synthetic

    paths = synthetic.write(synthetic.earth(SEED), folder)
    real = {"rjob": folder / "rjob.mseed", "rjob_response": folder / "rjob_response.xml"}
    stream = obspy.read()
    for trace in stream:
        trace.data = trace.data.astype("float32")
    stream.write(str(real["rjob"]), format="MSEED")
    obspy.read_inventory().write(str(real["rjob_response"]), format="STATIONXML")
    return paths | real


ACTS = (
    Act(
        "Seismic reflection",
        "Which band holds 5 to 95 % of the energy of the line?",
        ("line",),
        lambda truth: f"numpy's spectrum of the made section has the same band; its wavelet peaks at {truth['wavelet_hz']} Hz",
        band_right,
    ),
    Act(
        "Well logs",
        "Compute the shale volume of the well, clean sand 25 API and shale 115 API",
        ("well",),
        lambda truth: "(GR - 25) / 90 of the log as recorded has the same mean",
        shale_right,
    ),
    Act(
        "Gravity",
        "Bouguer correction of the gravity with 2.67 g/cc",
        ("gravity",),
        lambda truth: "normal gravity and a slab of 0.04193 mGal per kg/m3 and km, worked out apart, give the same mean",
        bouguer_right,
    ),
    Act(
        "Seismology, a real record",
        "Remove the instrument response of rjob to ground velocity between 1 and 20 Hz",
        ("rjob", "rjob_response"),
        lambda truth: "ObsPy, called by itself, gives the same peak velocity",
        velocity_right,
    ),
    Act(
        "Across two: seismic and a well",
        "Invert the line for acoustic impedance with the well",
        ("line", "well"),
        lambda truth: "the true impedance section was kept apart",
        impedance_right,
    ),
)


def _heard(event: graph.Event) -> None:
    """A line for what was done, or was not."""
    if event.what in ("chunk", "step", "error"):
        say(f"   {event.text}")


def play(folder: Path, spec: str = "embedded") -> list[tuple[Act, graph.Outcome, bool]]:
    """Every act on a fresh project in `folder`: the act, its outcome, and whether it is right."""
    say(f"Making a survey in {folder / 'survey'} ...")
    paths = survey(folder / "survey")
    truth = json.loads(paths["truth"].read_text())
    say(f"Loading the language model ({spec}) ...")
    model = make(spec)
    results = []
    for position, act in enumerate(ACTS, 1):
        project = Project.open(folder / f"project-{position}")
        for name in act.files:
            project.add(paths[name])
        with graph.threads(project) as checkpointer:
            agent = graph.Agent(project, model, name=spec, checkpointer=checkpointer, on_event=_heard)
            print(f"\n{position}/{len(ACTS)}  {act.title}\n>  {act.request}")
            outcome = agent.ask(act.request)
        try:
            right = outcome.status == "answered" and act.right(outcome, project, truth)
        except (KeyError, IndexError):
            right = False
        show(act, outcome, project, right, truth)
        results.append((act, outcome, right))
    return results


def show(act: Act, outcome: graph.Outcome, project: Project, right: bool, truth: Mapping[str, Any]) -> None:
    """An answer with its sources, figures, and the truth beside it."""
    print(f"   {outcome.answer}")
    for entry in outcome.numbers:
        print(f"     {entry['text']}  from {entry['source']}")
    for artifact in outcome.json()["artifacts"]:
        if artifact["kind"] == "png":
            print(f"     figure {project.folder / artifact['path']}")
    print(f"   Known: {act.truth(truth)}. {'Right.' if right else 'NOT as it should be.'}")


def say(words: str) -> None:
    """Progress, on stderr."""
    print(words, file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Run the demo; 0 when all five answers are right."""
    folder = Path(arguments[0] if arguments else "moho-demo")
    number_ = 2
    base = folder
    while folder.exists():  # nothing is ever overwritten
        folder = base.with_name(f"{base.name}-{number_}")
        number_ += 1
    started = time.monotonic()
    try:
        results = play(folder)
    except MohoError as error:
        say(f"error: {error}")
        return 3
    right = sum(one for _, _, one in results)
    run = results[-1][1].run_id
    print(f"\n{right} of {len(results)} right, {time.monotonic() - started:.0f} s. What to type next:")
    print(f"  moho replay {run} --project {folder}/project-5      the last run again, without a language model, bytes compared")
    print(f"  moho export {run} --project {folder}/project-5      the same as a Python script")
    print('  moho ask "Same thing but only 10-40 Hz first" --project ' + f"{folder}/project-5 --thread {results[-1][1].thread}")
    print('  moho ask "What band holds 5 to 95 % of its energy?" --data YOUR.sgy')
    print("  moho tools      every tool, and what it takes")
    return 0 if right == len(results) else 5


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
