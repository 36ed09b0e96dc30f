"""Data sets broken on purpose: every number gone, every number the same, one sample left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from moho.survey import Curve, Data, DCSurvey, Gather, Grid, Horizon, MTSounding, Picks, Seismic, Stations, Table, Waveforms, Well


def holed(data: Data) -> Data:
    """`data` with NaN for every measured value."""
    return _changed(data, lambda values: np.full_like(values, np.nan))


def dead(data: Data) -> Data:
    """`data` with zero for every measured value."""
    return _changed(data, np.zeros_like)


def _changed(data: Data, change: Any) -> Data:
    if isinstance(data, (Seismic, Gather)):
        return replace(data, data=change(data.data))
    if isinstance(data, Grid):
        return replace(data, values=change(data.values))
    if isinstance(data, (Stations, DCSurvey)):
        return replace(data, value=change(data.value))  # type: ignore[call-arg]
    if isinstance(data, Well):
        return replace(data, curves={name: Curve(change(curve.values), curve.unit) for name, curve in data.curves.items()})
    if isinstance(data, Waveforms):
        stream = data.stream.copy()
        for trace in stream:
            trace.data = change(trace.data.astype(float))
        return replace(data, stream=stream)
    if isinstance(data, (Picks, Horizon)):
        return replace(data, time=change(data.time))
    if isinstance(data, Table):
        return replace(data, columns={name: change(array) if array.dtype.kind == "f" else array for name, array in data.columns.items()})
    if isinstance(data, MTSounding):
        return replace(data, impedance=change(data.impedance))
    return data


def single(data: Data) -> Data:
    """The first sample of the first trace, station, node or depth of `data`, where such a data set can be."""
    if isinstance(data, (Seismic, Gather)):
        kept = {name: value[:1] for name in vars(data) if name != "data" and isinstance(value := getattr(data, name), np.ndarray)}
        return replace(data, data=data.data[:1, :1], **kept)
    if isinstance(data, Grid):
        return replace(data, values=data.values[:2, :2], x=data.x[:2], y=data.y[:2])
    if isinstance(data, (Stations, DCSurvey, Picks, Horizon)):
        return replace(data, **{name: value[:1] for name in vars(data) if isinstance(value := getattr(data, name), np.ndarray)})
    if isinstance(data, Well):
        return replace(data, depth=data.depth[:1], curves={name: Curve(curve.values[:1], curve.unit) for name, curve in data.curves.items()})
    if isinstance(data, Waveforms):
        stream = data.stream.copy()
        for trace in stream:
            trace.data = trace.data[:1]
        return replace(data, stream=stream)
    if isinstance(data, Table):
        return replace(data, columns={name: array[:1] for name, array in data.columns.items()})
    return data
