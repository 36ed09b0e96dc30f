"""Facies and clusters: unsupervised classes of wells, tables or sections, and supervised facies tested on a blind well.

Wells stay whole: a well is either learnt from or predicted, never both. What is common to all kinds of data is a matrix of
features, one row a sample; `_Samples` says where each row came from so that the classes can go back there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from moho.agent.registry import tool
from moho.errors import Missing, Refusal
from moho.survey import MNEMONICS, UNKNOWN, Array, Curve, Data, Seismic, Table, Well
from moho.units import Count, Quantity, convert

WELLS = ("well name", "well", "well_name", "wellname", "wellid", "well_id", "uwi", "hole", "borehole")
DEPTHS = ("depth", "depth_m", "md", "tvd", "dept", "depth_ft", "tvdss")
PLACES = ("x", "y", "east", "easting", "north", "northing", "lon", "lat", "longitude", "latitude")
MADE = ("CLASS", "PROBABILITY", "FACIES_PREDICTED")
CLASSES = 100  # a column of more different values is a measurement
MOST = 20_000  # samples a model of clusters learns from
TREES = 150


@tool(
    discipline="well",
    stage="interpretation",
    say=(
        "Classify the facies of well {blind} from {data}, labels in {labels}",
        "train on the other wells and predict {blind}, facies column {labels}",
        "facies classification {data}, blind well {blind}, label {labels}",
        "cluster {data} into {k} classes",
        "how well can we predict {labels} in {blind}? give me the F1",
        "k-means on {features}, k={k}",
        "unsupervised electrofacies from {features} of {data}",
        "run a Gaussian mixture with {k} clusters on the logs pls",
        "seismic facies from the attribute sections {data}, {k} classes",
        "machine learning lithofacies, leave {blind} out",
        "group the samples of {data} by {features}",
        "please make the facies prediction for hole {blind} using {features}",
    ),
    reference="Breiman 2001, Random forests, Machine Learning 45, 5-32; Hall 2016, Facies classification using machine learning, The Leading Edge 35",
    truth="three made rocks: over 99 % of samples in their cluster; the blind Hugoton well SHANKLE at F1 0.5 or better, wells never split",
)
def cluster_classify(
    data: Annotated[list[Well | Table | Seismic], "wells, tables of wells, or attribute sections"],
    features: Annotated[list[str], "logs or columns to learn from"] | None = None,
    labels: Annotated[str, "curve or column that holds the facies"] | None = None,
    blind: Annotated[str, "well kept out of the training"] | None = None,
    k: Annotated[Count, "number of clusters"] | None = None,
    method: Literal["k-means", "gaussian mixture"] = "k-means",
    well_column: Annotated[str, "column that names the well"] | None = None,
    adjacent: Annotated[list[str], "neighbouring facies, as 1-2"] | None = None,
) -> Data:
    """Classes of the samples: clusters where no labels are given, else the facies of a blind well learnt from the other wells.

    Clusters: k-means or a Gaussian mixture of standardised features (resistivity by its logarithm), k of largest silhouette from 2 to 8
    unless given, numbered by the mean of the first feature. Facies: a random forest of 150 trees, classes weighted alike, on each sample with
    its two neighbours and its gradient in depth; nothing of the blind well is seen in training. F1 is micro-averaged, the share of
    samples that are right; `adjacent` pairs (else labels that differ by 1) count as right in the adjacent F1. Each sample has a probability.
    """
    kinds = {type(one).__name__ for one in data}
    if not data:
        raise Refusal("E_DATA", "there is nothing to classify: no wells, tables or sections were given.")
    if len(kinds) > 1:
        titles = tuple(one.title or type(one).__name__ for one in data)
        raise Missing("data", f"Classes are made from data of one kind and here are {', '.join(sorted(kinds))}: which do you mean?", titles)
    if labels is not None and isinstance(data[0], Seismic):
        raise ValueError("facies with labels are learnt from wells or tables of wells; sections can only be clustered: leave labels out")
    if labels is None:
        if blind is not None:
            raise Missing("labels", f"Which curve or column holds the facies that well {blind} is to be tested on?", _columns(data))
        return _clustered(_gathered(data, features, None, well_column), k, method)
    if k is not None:
        raise ValueError("k is the number of clusters to find; with labels the classes are those of the labels: give one of the two")
    return _predicted(_gathered(data, features, labels, well_column), labels, blind, adjacent)


@dataclass(frozen=True)
class _Samples:
    """Features of every sample, (sample, feature), with where it came from."""

    source: list[Any]  # the data sets
    values: Array
    names: list[str]
    well: Array  # (sample,) str
    depth: Array  # (sample,)
    label: Array | None  # (sample,) str, "" where there is none
    notes: list[str]


def _gathered(data: list[Any], features: list[str] | None, labels: str | None, well_column: str | None) -> _Samples:
    if isinstance(data[0], Seismic):
        return _of_sections(data, features)
    tables = [_as_columns(one, well_column, number) for number, one in enumerate(data)]
    columns = [columns for columns, _, _ in tables]
    shared = [name for name in columns[0] if all(name in other for other in columns)]
    if labels is not None:
        missing = [name for name in [labels] if name not in shared]
        if missing:
            raise ValueError(f"there is no curve or column {labels!r} in all of the data; shared are {', '.join(shared)}")
    names = _features(shared, columns, features, labels)
    parts = [np.stack([_numbers(held[name], name) for name in names], axis=1) for held in columns]
    notes: list[str] = []
    for j, name in enumerate(names):
        if name.upper() in MNEMONICS["RT"] and not name.upper().endswith("LOG10"):
            for part in parts:
                part[:, j] = np.log10(np.where(part[:, j] > 0, part[:, j], np.nan))
            notes.append(f"{name} enters by its logarithm")
    well, depth = (np.concatenate([held[i] for held in tables]) for i in (1, 2))
    label = None if labels is None else np.concatenate([_words(held[labels]) for held in columns])
    if label is not None and (many := len(set(label))) > CLASSES:
        raise ValueError(f"{labels} has {many} different values: a measurement, not a column of at most {CLASSES} classes")
    return _Samples(data, np.concatenate(parts), names, well.astype(str), depth, label, notes)


def _as_columns(one: Well | Table, well_column: str | None, number: int) -> tuple[Mapping[str, Array], Array, Array]:
    """(columns, name of the well of each row, its depth)."""
    if isinstance(one, Well):
        columns: Mapping[str, Array] = {name: curve.values for name, curve in one.curves.items()}
        return columns, np.full(len(one.depth), one.well_name or one.title or f"well {number + 1}"), one.depth
    rows = len(next(iter(one.columns.values())))
    name = _role(one, WELLS, well_column)
    depth = _role(one, DEPTHS, None)
    wells = np.full(rows, one.title or f"table {number + 1}") if name is None else np.asarray(one.columns[name]).astype(str)
    return one.columns, wells, np.arange(rows, dtype=float) if depth is None else np.asarray(one.columns[depth], float)


def _role(table: Table, usual: tuple[str, ...], named: str | None) -> str | None:
    by_lower = {name.lower().strip(): name for name in table.columns}
    if named is not None:
        if named.lower() not in by_lower:
            raise ValueError(f"there is no column {named!r}; the table has {', '.join(table.columns)}")
        return by_lower[named.lower()]
    return next((by_lower[name] for name in usual if name in by_lower), None)


def _columns(data: list[Any]) -> tuple[str, ...]:
    return tuple(data[0].curves if isinstance(data[0], Well) else data[0].columns if isinstance(data[0], Table) else ())


def _features(shared: list[str], columns: list[Mapping[str, Array]], asked: list[str] | None, labels: str | None) -> list[str]:
    """Names of the features: those asked for, or every numeric curve that is neither label, place, depth nor a former result."""
    if asked is not None:
        by_upper = {name.upper(): name for name in shared}
        unknown = [name for name in asked if name.upper() not in by_upper]
        if unknown:
            raise ValueError(f"there is no {', '.join(unknown)} in all of the data; shared are {', '.join(shared)}")
        names = list(dict.fromkeys(by_upper[name.upper()] for name in asked))
        if labels in names:
            raise ValueError(f"{labels} is what is to be predicted and cannot be a feature")
        return names
    skip = {*WELLS, *DEPTHS, *PLACES, "facies", "lithology", "litho"}
    names = [
        name for name in shared
        if name != labels and name.lower() not in skip and name.upper() not in MADE
        and all(np.issubdtype(np.asarray(held[name]).dtype, np.number) for held in columns)
    ]  # fmt: skip
    if not names:
        raise Refusal("E_DATA", f"the data share no numeric curve to classify by; they share {', '.join(shared) or 'nothing'}.")
    return names


def _numbers(values: Array, name: str) -> Array:
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.number):
        raise ValueError(f"{name} holds words; features must be numbers")
    return np.where(np.isfinite(values.astype(float)), values.astype(float), np.nan)


def _words(values: Array) -> Array:
    """Labels as text: 3.0 is "3", a null is ""."""
    values = np.asarray(values)
    if np.issubdtype(values.dtype, np.number):
        return np.array([f"{v:g}" if np.isfinite(v) else "" for v in values.astype(float)])
    return np.array([str(v).strip() for v in values])


def _of_sections(data: list[Seismic], features: list[str] | None) -> _Samples:
    first = data[0]
    for other in data[1:]:
        if other.data.shape != first.data.shape or other.dt != first.dt or other.t0 != first.t0:
            words = f"the sections do not lie on one grid: {first.data.shape} samples at {first.dt:g}, {other.data.shape} at {other.dt:g}."
            raise Refusal("E_GEOMETRY", words, "Make all attributes from the same section.")
        if not np.array_equal(other.numbers, first.numbers):
            raise Refusal("E_GEOMETRY", "the sections have different CDP numbers.", "Make all attributes from the same section.")
    names = [one.quantity for one in data]
    if len(set(names)) < len(names):
        names = [f"{name} {n + 1}" for n, name in enumerate(names)]
    chosen = list(range(len(names)))
    if features is not None:
        unknown = [name for name in features if name not in names]
        if unknown:
            raise ValueError(f"there is no {', '.join(unknown)}; the sections hold {', '.join(names)}")
        chosen = [names.index(name) for name in features]
    values = np.stack([data[i].data.astype(float).ravel() for i in chosen], axis=1)
    silent = np.all(np.stack([one.data for one in data]) == 0, axis=0).ravel()  # a dead trace or a mute
    values[silent] = np.nan
    trace = np.repeat(first.numbers, first.data.shape[1]).astype(str)
    return _Samples(list(data), values, [names[i] for i in chosen], trace, np.tile(first.times, len(first.data)), None, [])


def _clustered(samples: _Samples, k: int | None, method: str) -> Data:
    from sklearn.metrics import silhouette_score

    usable = np.isfinite(samples.values).all(axis=1)
    values = samples.values[usable]
    if not len(values):
        raise Refusal("E_DATA", f"no sample has all of {', '.join(samples.names)}.", "Leave out the curve that is empty.")
    spread = values.std(axis=0)
    flat = [name for name, s in zip(samples.names, spread, strict=True) if not s > 0]
    if flat:
        raise Refusal("E_DATA", f"{', '.join(flat)} does not vary: it cannot tell classes apart.", "Leave it out.")
    scaled = (values - values.mean(axis=0)) / spread
    learnt = scaled[:: max(1, -(-len(scaled) // MOST))]
    checked = learnt[:: max(1, -(-len(learnt) // 2000))]
    if k is not None and not 2 <= k < len(np.unique(checked, axis=0)):
        raise ValueError(f"k must be from 2 to {len(np.unique(checked, axis=0)) - 1} clusters, got {k}")
    tried = [k] if k is not None else [n for n in range(2, 9) if n < len(np.unique(checked, axis=0))]
    if not tried:
        raise Refusal("E_DATA", f"{len(values)} samples are too few for clusters.")
    scores = []
    for n in tried:
        found = _model(method, n, learnt).predict(checked)
        scores.append(float(silhouette_score(checked, found)) if len(np.unique(found)) > 1 else -1.0)
    best = int(np.argmax(scores))
    model = _model(method, tried[best], learnt)
    raw, posterior = model.predict(scaled), _posterior(model, method, scaled, learnt)
    centres = np.array([values[raw == n].mean(axis=0) if np.any(raw == n) else np.full(values.shape[1], np.inf) for n in range(tried[best])])
    rank = np.argsort(np.argsort(centres[:, 0], kind="stable"), kind="stable")
    classes, probability = np.full(len(samples.values), np.nan), np.full(len(samples.values), np.nan)
    classes[usable], probability[usable] = rank[raw] + 1, posterior[np.arange(len(raw)), raw]
    order = np.argsort(rank)
    facts = {
        "k": Quantity(tried[best], "", "clusters"),
        "silhouette": Quantity(round(scores[best], 5), "", "mean silhouette (-1 to 1)"),
        "samples": Quantity(int(usable.sum()), "", "samples classified"),
        "shares": Quantity([round(100 * float(np.mean(raw == n)), 3) for n in order], "%", "share of each cluster"),
        "confidence": Quantity(round(float(np.nanmean(probability)), 5), "", "mean probability of the cluster taken"),
    }
    for j, name in enumerate(samples.names):
        facts[f"mean_{name.lower().replace(' ', '_')}"] = Quantity([float(f"{c:.6g}") for c in centres[order, j]], "", f"mean {name} of each cluster")
    notes = [f"{method}, {tried[best]} clusters of standardised {', '.join(samples.names)}", *samples.notes]
    if k is None:
        words = ", ".join(f"{n}: {score:.3f}" for n, score in zip(tried, scores, strict=True))
        notes.append(f"k by the largest silhouette ({words})")
    notes.append(f"clusters are numbered by their mean {samples.names[0]}; they are groups of numbers, not yet rocks")
    if method == "k-means":
        notes.append("probabilities are those of a mixture of equal spherical Gaussians at the k-means centres")
    if scores[best] < 0.25:
        notes.append(f"a silhouette of {scores[best]:.2f} means clusters that run into each other")
    if missing := int((~usable).sum()):
        notes.append(f"{missing} samples lack a feature and have no class")
    return _handed_back(samples, classes, probability, facts, notes)


def _model(method: str, k: int, learnt: Array) -> Any:
    from sklearn.cluster import KMeans
    from sklearn.mixture import GaussianMixture

    if method == "k-means":
        return KMeans(k, n_init=10, random_state=0).fit(learnt)
    return GaussianMixture(k, n_init=2, random_state=0, reg_covar=1e-4, max_iter=300).fit(learnt)


def _posterior(model: Any, method: str, scaled: Array, learnt: Array) -> Array:
    """(sample, cluster) probability."""
    if method != "k-means":
        return np.asarray(model.predict_proba(scaled))
    variance = max(model.inertia_ / learnt.size, 1e-12)
    exponent = -0.5 * model.transform(scaled) ** 2 / variance
    exponent -= exponent.max(axis=1, keepdims=True)
    weight = np.exp(exponent)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def _handed_back(samples: _Samples, classes: Array, probability: Array, facts: dict[str, Quantity], notes: list[str]) -> Data:
    """The classes where the samples came from: curves of a well, a section, or columns of a table."""
    first = samples.source[0]
    if isinstance(first, Seismic):
        shape = first.data.shape
        filled = np.nan_to_num(classes, nan=0.0).reshape(shape).astype(np.float32)
        notes.append("class 0 marks dead traces and mutes")
        shown = {key: value for key, value in first.view.items() if key in ("top", "base")}
        return first.made(
            facts=facts, notes=tuple(notes), data=filled, quantity="class", unit="", band=None, polarity=UNKNOWN, view=shown,
            title=f"{facts['k'].value} classes of {first.title}".strip(),
        )  # fmt: skip
    if isinstance(first, Well) and len(samples.source) == 1:
        curves = {
            **first.curves,
            "CLASS": Curve(classes, "class", f"clusters of {', '.join(samples.names)}"),
            "PROBABILITY": Curve(probability, "v/v", "probability of the class"),
        }
        view = {"tracks": [*[[name] for name in samples.names[:5]], ["CLASS"], ["PROBABILITY"]], "of": list(curves)}
        return first.made(facts=facts, notes=tuple(notes), curves=curves, view=view)
    if isinstance(first, Table) and len(samples.source) == 1:
        columns = {**first.columns, "class": classes, "probability": probability}
        title = first.title
    else:
        features = {name: samples.values[:, j] for j, name in enumerate(samples.names)}
        columns = {"well": samples.well, "depth_m": samples.depth, **features, "class": classes, "probability": probability}
        title = f"classes of {len(samples.source)} wells"
    pair = [name for name in samples.names if name in columns][:2]
    view = {"crossplot": [*(pair if len(pair) == 2 else [pair[0], "probability"]), "class"], "of": list(columns)}
    return Table(title=title, columns=columns, facts=facts, notes=tuple(notes), view=view)


def _predicted(samples: _Samples, labels: str, blind: str | None, adjacent: list[str] | None) -> Well:
    from sklearn.metrics import confusion_matrix, f1_score

    label = samples.label
    assert label is not None
    wells = list(dict.fromkeys(samples.well.tolist()))
    if len(wells) < 2:
        words = f"facies are tested on a well that was not learnt from, and there is only one: {wells[0]}."
        raise Refusal("E_DATA", words, "Give several wells, or name the column that tells them apart (well_column).")
    if blind is None:
        raise Missing("blind", f"Which well should be kept out of the training and predicted: {', '.join(wells)}?", tuple(wells))
    by_fold = {name.casefold(): name for name in wells}
    if blind.casefold() not in by_fold:
        raise ValueError(f"there is no well {blind!r}; there are {', '.join(wells)}")
    name = by_fold[blind.casefold()]
    there = samples.well == name
    known = label != ""
    if len(np.unique(label[known & ~there])) < 2:
        raise Refusal("E_DATA", f"the wells other than {name} hold fewer than two facies in {labels}: there is nothing to learn.")
    held = np.isfinite(samples.values[there]).any(axis=0)
    if not held.any():
        raise Refusal("E_DATA", f"{name} has none of the features {', '.join(samples.names)}.")
    notes = list(samples.notes)
    if not held.all():
        notes.append(f"{name} has no {', '.join(np.array(samples.names)[~held])}: not used")
    names = [n for n, use in zip(samples.names, held, strict=True) if use]
    values = _with_neighbours(samples.values[:, held], samples.well, samples.depth)
    usable = np.isfinite(samples.values[:, held]).any(axis=1)
    training = known & ~there & usable
    # wells never split: the rows learnt from and those predicted share no well
    assert not set(samples.well[training]) & {name}
    classes = sorted({str(word) for word in label[training]}, key=_key)
    forest = _forest(values[training], np.array([classes.index(word) for word in label[training]]))
    rows = np.flatnonzero(there & usable)
    rows = rows[np.argsort(samples.depth[rows], kind="stable")]
    chances = forest.predict_proba(values[rows])
    guess = np.array(classes)[chances.argmax(axis=1)]
    truth = label[rows]
    tested = truth != ""
    facts: dict[str, Quantity] = {
        "blind": Quantity(name, "", "blind well"),
        "wells": Quantity(len(set(samples.well[training])), "", "wells learnt from"),
        "training_samples": Quantity(int(training.sum()), "", "samples learnt from"),
        "samples": Quantity(len(rows), "", f"samples predicted in {name}"),
        "confidence": Quantity(round(float(chances.max(axis=1).mean()), 5), "", "mean probability of the facies taken"),
    }
    view: dict[str, Any] = {}
    if tested.any():
        order = sorted({*classes, *truth[tested]}, key=_key)
        counts = confusion_matrix(truth[tested], guess[tested], labels=order)
        pairs = _pairs(order, adjacent)
        near = [a == b or (a, b) in pairs for a, b in zip(truth[tested], guess[tested], strict=True)]
        usual, common = np.unique(label[training], return_counts=True)
        most = str(usual[common.argmax()])
        scores = {how: float(f1_score(truth[tested], guess[tested], average=how, zero_division=0)) for how in ("micro", "weighted", "macro")}
        facts |= {
            "f1": Quantity(round(scores["micro"], 5), "", "F1 in the blind well (micro: share of samples right)"),
            "f1_adjacent": Quantity(round(float(np.mean(near)), 5), "", "F1 counting adjacent facies as right"),
            "f1_weighted": Quantity(round(scores["weighted"], 5), "", "F1 averaged by facies, weighted by samples"),
            "f1_macro": Quantity(round(scores["macro"], 5), "", "F1 averaged by facies, all alike"),
            "baseline": Quantity(round(float(np.mean(truth[tested] == most)), 5), "", f"F1 of always saying {most}, the commonest facies learnt"),
            "facies": Quantity(order, "", "facies, in the order of the confusion matrix"),
            "confusion": Quantity([" ".join(str(int(n)) for n in row) for row in counts], "", "confusion matrix, rows true, columns predicted"),
        }
        view["confusion"] = {"labels": order, "counts": [[int(n) for n in row] for row in counts]}
        if unseen := sorted(set(truth[tested]) - set(classes), key=_key):
            notes.append(f"facies {', '.join(unseen)} occur in {name} and in no other well: they cannot be predicted")
    else:
        notes.append(f"{name} has no {labels}: predicted, not tested")
    weight = dict(zip(names, _importance(forest, len(names)), strict=True))
    facts["importance"] = Quantity([f"{n} {w:.3f}" for n, w in sorted(weight.items(), key=lambda item: -item[1])], "", "weight of the features")
    notes.insert(0, f"random forest of {TREES} trees on {', '.join(names)}, each with the samples above and below and its gradient; seed fixed")
    notes.insert(1, f"{name} was kept out whole; learnt from {', '.join(w for w in wells if w != name and w in set(samples.well[training]))}")
    codes = _codes(sorted({*classes, *truth[tested]}, key=_key))
    if any(code != key for key, code in ((_key(k)[1], c) for k, c in codes.items())):
        notes.append("facies are numbered " + ", ".join(f"{code:g} {word}" for word, code in codes.items()))
    view["classes"] = {f"{code:g}": word for word, code in codes.items()}
    return _blind_well(samples, rows, names, truth, guess, chances, classes, codes, facts, notes, view)


def _blind_well(
    samples: _Samples, rows: Array, names: list[str], truth: Array, guess: Array, chances: Array, classes: list[str], codes: dict[str, float],
    facts: dict[str, Quantity], notes: list[str], view: dict[str, Any],
) -> Well:  # fmt: skip
    """The blind well with its features, its facies and the predicted ones."""
    name = str(samples.well[rows[0]])
    depth = samples.depth[rows].astype(float)
    first = samples.source[0]
    if isinstance(first, Table):
        column = _role(first, DEPTHS, None)
        if column is None:
            notes.append("the table has no depth column: depths are row numbers")
        elif column.lower().endswith("ft"):
            depth = np.asarray(convert(depth, "ft", "m"))
        elif not column.lower().endswith("_m"):
            notes.append(f"the table does not say the unit of {column}: depths are as it gives them")
    keep = np.concatenate([[True], np.diff(depth) > 0])
    if not keep.all():
        notes.append(f"{int((~keep).sum())} samples at a depth given before were left out of the result")
    curves = {n: Curve(samples.values[rows, samples.names.index(n)][keep], _unit(first, n)) for n in names}
    if np.any(truth != ""):
        curves["FACIES"] = Curve(np.array([codes[t] if t else np.nan for t in truth])[keep], "class", "facies, as labelled")
    curves["FACIES_PREDICTED"] = Curve(np.array([codes[g] for g in guess])[keep], "class", "facies, predicted")
    curves["PROBABILITY"] = Curve(chances.max(axis=1)[keep], "v/v", "probability of the facies predicted")
    for j, word in enumerate(classes):
        curves[f"P_{word}".replace(" ", "_")] = Curve(chances[keep, j], "v/v", f"probability of facies {word}")
    tracks = [*[[n] for n in names[:4]], *([["FACIES"]] if "FACIES" in curves else []), ["FACIES_PREDICTED"], ["PROBABILITY"]]
    well = next((one for one in samples.source if isinstance(one, Well) and (one.well_name or one.title) == name), None)
    return Well(
        title=f"facies of {name}", well_name=name, depth=depth[keep], curves=curves, facts=facts, notes=tuple(notes),
        reference=well.reference if well else UNKNOWN, x=well.x if well else None, y=well.y if well else None,
        view={**view, "tracks": tracks, "of": list(curves)},
    )  # fmt: skip


def _unit(first: Any, name: str) -> str:
    return first.curves[name].unit if isinstance(first, Well) and name in first.curves else UNKNOWN


def _with_neighbours(values: Array, well: Array, depth: Array) -> Array:
    """(sample, 4 x feature): the sample, the ones below and above it in its well, and half their difference."""
    out = np.empty((len(values), 4 * values.shape[1]))
    for name in dict.fromkeys(well.tolist()):
        rows = np.flatnonzero(well == name)
        rows = rows[np.argsort(depth[rows], kind="stable")]
        here = values[rows]
        last = len(rows) - 1
        below, above = here[np.minimum(np.arange(len(rows)) + 1, last)], here[np.maximum(np.arange(len(rows)) - 1, 0)]
        out[rows] = np.hstack([here, below, above, 0.5 * (below - above)])
    return out


def _forest(values: Array, label: Array) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(TREES, min_samples_leaf=3, class_weight="balanced", random_state=0, n_jobs=1).fit(values, label)


def _importance(forest: Any, features: int) -> list[float]:
    """Share of each feature, its neighbours and gradient included."""
    return [float(v) for v in np.asarray(forest.feature_importances_).reshape(4, features).sum(axis=0)]


def _key(word: str) -> tuple[int, float, str]:
    """Numbers by value, then words by name."""
    try:
        return 0, float(word), ""
    except ValueError:
        return 1, 0.0, word


def _codes(order: list[str]) -> dict[str, float]:
    """Facies -> the number that stands for it in a curve: its own where all are numbers."""
    if all(_key(word)[0] == 0 for word in order):
        return {word: float(word) for word in order}
    return {word: float(n + 1) for n, word in enumerate(order)}


def _pairs(order: list[str], adjacent: list[str] | None) -> set[tuple[str, str]]:
    """Both orders of each pair of neighbouring facies."""
    if adjacent is None:
        numbers = [word for word in order if _key(word)[0] == 0]
        found = {(a, b) for a in numbers for b in numbers if abs(float(a) - float(b)) == 1}
    else:
        found = set()
        for pair in adjacent:
            parts = tuple(part.strip() for part in pair.split("-"))
            if len(parts) != 2 or any(part not in order for part in parts):
                raise ValueError(f"adjacent wants pairs like {order[0]}-{order[-1]} of the facies {', '.join(order)}, got {pair!r}")
            found.add((parts[0], parts[1]))
    return found | {(b, a) for a, b in found}
