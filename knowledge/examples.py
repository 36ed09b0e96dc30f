"""What the judge learns from: the questions kept with the handbook, the sentences that answer them, and those that nearly do.

Sentences that do not answer are taken from the same passage, from the same page, and from the other pages where they are nearest to the
question: what a search finds in a library that lacks the page. Questions that ask for what no page holds are made in two ways: of
the kept ones, with the thing they ask about replaced by one of its kind that the handbook does not name; and of matters near to the
handbook's that it does not treat. Neither the development questions nor the test questions are among them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moho.knowledge.judge import Example, Line

ALIKE = 0.8  # cosine of two sentences from which both may answer
HELD_OUT = 6  # every so many pages one is kept from training

# Things of a kind: a question that names one of them no longer finds an answer when another stands in its place.
KINDS: tuple[tuple[str, ...], ...] = (
    ("salt", "shale", "sandstone", "limestone", "basalt", "granite", "coal", "anhydrite", "dolomite", "chalk", "gypsum", "marble",
     "peridotite", "obsidian", "kimberlite", "loess", "bauxite", "travertine", "phosphorite", "eclogite"),
    ("gas", "oil", "brine", "helium", "hydrogen", "mercury", "lava", "permafrost ice", "drilling mud", "liquid sulphur"),
    ("gravimeter", "magnetometer", "geophone", "hydrophone", "seismometer", "accelerometer", "tiltmeter", "strainmeter", "muon detector",
     "scintillometer", "radon monitor", "lidar scanner", "spectroradiometer", "gradiometer"),
    ("well", "borehole", "tunnel", "glacier", "volcano", "landfill", "dam", "pipeline", "reactor site", "wind farm", "lake bed", "peat bog"),
    ("porosity", "density", "resistivity", "velocity", "susceptibility", "permeability", "viscosity", "thermal conductivity",
     "tensile strength", "cohesion", "grain size", "albedo", "pH", "radon activity", "heat capacity"),
    ("deconvolution", "migration", "stacking", "inversion", "tomography", "f-k filter", "gain", "muting", "regularisation", "kriging",
     "datuming", "wavelet denoising", "compressive sensing", "dictionary learning", "super-resolution", "source encoding"),
    ("gravity", "magnetics", "seismic", "MT", "DC", "ERT", "radiometrics", "InSAR", "muography", "seismoelectrics", "NMR sounding",
     "self-potential"),
    ("NMO", "AVO", "AGC", "CDP", "FWI", "RTP", "IGRF", "STA/LTA", "b-value", "Mw", "ML", "CRS", "OVT", "CMP", "SWD", "PP-PS"),
)  # fmt: skip

MATTERS = (
    "muon tomography of a volcano", "airborne gamma-ray spectrometry", "seismoelectric soundings", "InSAR of subsidence",
    "distributed temperature sensing", "acoustic televiewer images", "mud gas chromatography", "core plug resaturation",
    "hydraulic fracture proppant", "microseismic of fracking", "ocean-bottom cable trenching", "airgun bubble tuning", "sparker sources",
    "sub-bottom profilers", "multibeam bathymetry", "side-scan sonar", "marine vibrators", "weight drops", "dynamite charges",
    "shot-hole drilling", "helicopter EM birds", "AFMAG", "VLF profiles", "self-potential streaming coupling", "surface NMR sounding",
    "borehole radar", "crosshole GPR", "cone penetration tests", "heat flow probes", "geothermal gradient wells", "radon in soil gas",
    "paleomagnetic cores", "rock magnetism in the laboratory", "ocean tide loading", "superconducting gravimeters",
    "absolute gravimeters with falling corner cubes", "satellite altimetry gravity", "GOCE gradients", "torsion balances",
    "borehole gravimeters", "quantum gravimeters", "tsunami warning buoys", "earthquake early warning", "infrasound arrays",
    "hydroacoustic monitoring of the test ban", "lunar seismometers", "Mars marsquakes", "ice-shelf seismics", "avalanche detection",
    "rotational seismometers", "slow slip and tremor", "GNSS displacement", "Coulomb stress transfer", "liquefaction hazard",
    "site amplification HVSR", "shear-wave splitting", "surface-wave dispersion maps", "normal modes of the Earth", "mantle attenuation",
    "core phases PKP", "joint inversion with cross gradients", "Bayesian evidence in trans-dimensional chains",
    "diffusion models for seismic images", "reinforcement learning for drilling", "graph networks for picking",
    "foundation models for seismic", "quantum annealing for statics", "fault seal shale gouge", "basin modelling of maturity",
    "source-rock pyrolysis", "biostratigraphy picks", "chronostratigraphic charts", "seismic geomorphology of channels", "4D time shifts",
    "4D repeatability NRMS", "carbon storage monitoring", "geothermal doublets", "salt cavern hydrogen", "nuclear waste tunnels",
    "archaeological magnetics", "unexploded ordnance", "landslide ERT monitoring", "peat thickness radar",
    "cased-hole saturation by pulsed neutrons", "formation tester pressure gradients", "mud-log lithology", "image log fracture counts",
    "cement bond logs", "production logs spinner", "dielectric logs", "sonic Stoneley permeability", "leak-off tests",
    "wellbore stability mud windows", "drilling rate of penetration", "decommissioning costs", "satellite gravity of Mars",
    "oceanic transform seismicity", "nodes on the sea bed with clock drift", "receiver ghost removal with dual sensors",
    "Marchenko redatuming", "interferometric redatuming", "least-squares migration", "common-reflection-surface stack",
    "elastic FWI with shear sources", "anisotropic orthorhombic models", "azimuthal fractures from AVAz", "converted-wave binning",
    "shear-wave statics", "Q tomography", "diffraction imaging", "beam migration", "seismic while drilling", "fibre-optic surface waves",
)  # fmt: skip
WANTS = (
    "what is the usual cost of {x}?", "which company invented {x} and when", "typical parameter values for {x}",
    "how do I set up {x} in the field", "who holds the patent for {x}?", "minimum crew for {x}", "what accuracy can I expect of {x}?",
    "which equation is used for {x}", "what sampling rate does {x} need", "how long does {x} take per day", "which regulation covers {x}?",
    "recommended software for {x}", "how to correct errors in {x}", "{x}: threshold to use?", "what depth does {x} reach",
    "explain the theory of {x}", "what goes wrong with {x} most often?",
)  # fmt: skip
OFF = (
    "what does a survey with {x} cost per kilometre?", "which contractor has the most crews for {x}?", "which university teaches {x} best?",
    "in which year was the first patent on {x} granted?", "what is the salary of a specialist in {x}",
    "which graphics card do I need for {x}?", "how many people work on {x} worldwide", "what did the minister say about {x}",
    "which textbook on {x} sold most copies?", "market share of vendors for {x}", "carbon footprint of {x}", "insurance needed before {x}",
    "which stock exchange lists firms that do {x}", "what is the licence fee of the leading program for {x}?",
)  # fmt: skip


@dataclass(frozen=True)
class Said:
    """A sentence of a page, where it stands, and the kept questions that it answers."""

    line: Line
    page: str
    passage: int
    asked: tuple[str, ...]


def said() -> list[Said]:
    """Every sentence of the handbook that can stand in an answer, in reading order."""
    from moho.knowledge import starter
    from moho.knowledge.cite import _flat, lines_of
    from moho.knowledge.embed import pieces
    from moho.knowledge.passages import cut
    from moho.knowledge.readers import read

    found: list[Said] = []
    kept = starter.asked()
    number = 0
    for name, path in starter.pages():
        document = read(path)
        beginnings = [(_flat(sentence), question) for sentence, question in kept.get(name, ())]
        for passage in cut(document, pieces):
            for line in lines_of(passage, document.title):
                flat = _flat(line.text)
                found.append(Said(line, name, number, tuple(question for start, question in beginnings if flat.startswith(start))))
            number += 1
    return found


def held_out() -> set[str]:
    """The pages that the judge's training does not see, by which it is measured."""
    from moho.knowledge import starter

    return {name for name, _ in list(starter.pages())[::HELD_OUT]}


def examples(seed: int = 0) -> list[Example]:
    """Questions with sentences that answer and that do not, without those of the pages held out."""
    from moho.knowledge.embed import embed

    rng = np.random.default_rng(seed)
    without = held_out()
    lines = [one for one in said() if one.page not in without]
    vectors = embed([f"{one.line.title}. {one.line.text}" for one in lines])
    bare = embed([one.line.text for one in lines])
    alike = bare @ bare.T
    passage, page = np.array([one.passage for one in lines]), np.array([one.page for one in lines])
    questions = [(question, i) for i, one in enumerate(lines) for question in one.asked]
    made: list[Example] = []
    near = embed([question for question, _ in questions]) @ (vectors + bare).T
    for (question, right), row in zip(questions, near, strict=True):
        usable = alike[right] < ALIKE
        usable[[i for i in np.flatnonzero(passage == passage[right]) if question in lines[i].asked]] = False
        order = np.argsort(-row, kind="stable")
        same = [int(i) for i in order if usable[i] and passage[i] == passage[right]]
        beside = [int(i) for i in order if usable[i] and page[i] == page[right] and passage[i] != passage[right]]
        other = [int(i) for i in order[:60] if usable[i] and page[i] != page[right]]
        wrong = [*_some(rng, same[:4], 1), *_some(rng, beside[:6], 1), *_some(rng, other[:4], 2), *_some(rng, other[4:20], 2)]
        made.append((question, [(lines[right].line, True), *((lines[i].line, False) for i in wrong)]))
    none = [*_swapped([question for question, _ in questions], lines, rng), *_foreign(lines, rng)]
    for question, row in zip(none, embed(none) @ (vectors + bare).T, strict=True):
        made.append((question, [(lines[i].line, False) for i in _some(rng, np.argsort(-row, kind="stable")[:10].tolist(), 4)]))
    return made


def _some(rng: np.random.Generator, among: Sequence[int], many: int) -> list[int]:
    return [int(i) for i in rng.permutation(np.array(among, int))[:many]]


def _swapped(questions: Sequence[str], lines: Sequence[Said], rng: np.random.Generator) -> list[str]:
    """Questions that name one of `KINDS`, with another in its place that the handbook does not name."""
    text = " ".join(one.line.text for one in lines).casefold()
    made: list[str] = []
    for kind in KINDS:
        foreign = [name for name in kind if not re.search(rf"\b{re.escape(name.casefold())}", text)]
        own = [name for name in kind if name not in foreign]
        for question in questions if foreign and own else ():
            for name in own:
                pattern = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", 0 if name.isupper() else re.I)
                if pattern.search(question):
                    made.append(pattern.sub(str(rng.choice(foreign)), question))
                    break
    return [made[i] for i in rng.permutation(len(made))[:500]]


def _foreign(lines: Sequence[Said], rng: np.random.Generator) -> list[str]:
    """Questions about matters that the handbook does not treat, and about those it treats what it does not say."""
    titles: defaultdict[str, str] = defaultdict(str)
    for one in lines:
        titles[one.page] = one.line.title
    made = [want.format(x=matter) for matter in MATTERS for want in rng.choice(WANTS, 3, replace=False)]
    return made + [want.format(x=title.casefold()) for title in titles.values() for want in rng.choice(OFF, 2, replace=False)]
