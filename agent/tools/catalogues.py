"""What an earthquake catalogue or a file of station metadata holds."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from moho.agent.registry import tool
from moho.errors import Refusal
from moho.survey import UNKNOWN, Catalogue, Report, Response
from moho.units import Quantity

SHOWN = 20000  # table rows kept in a report


@tool(
    discipline="seismology",
    stage="inspect",
    say=(
        "What events are in {catalogue}?",
        "Inspect the QuakeML {catalogue}",
        "summarise the earthquake catalogue {catalogue}",
        "Which magnitudes and magnitude types does {catalogue} hold?",
        "list the events with time, place, depth and errors",
        "how uncertain are the locations in {catalogue}",
        "which stations and channels are in the StationXML {catalogue}?",
        "show me the sensitivities and sampling rates of the station metadata",
        "biggest quake in {catalogue} pls",
        "does every channel have a response",
        "give coordinates and epochs of the stations",
        "what is inside {catalogue}, when and where the events were",
    ),
    reference="Schorlemmer et al. 2011, QuakeML: status of the XML-based seismological data exchange format, Ann. Geophys. 54; FDSN StationXML 1.2",
    truth="ObsPy's packaged examples: three events, the largest mb 4.4; stations BW.RJOB, GR.FUR and GR.WET with 30 channel epochs",
)
def event_inspect(catalogue: Catalogue | Response) -> Report:
    """What an earthquake catalogue holds (times, places, magnitudes, uncertainties) or station metadata do (channels, epochs, responses).

    Magnitudes of different types are not one scale: ranges are given for each type. Depths are positive down, km.
    """
    return _events(catalogue) if isinstance(catalogue, Catalogue) else _metadata(catalogue)


def _events(catalogue: Catalogue) -> Report:
    count = len(catalogue.time)
    if not count:
        raise Refusal("E_DATA", "the catalogue holds no event.")
    notes = list(catalogue.notes)
    order = np.argsort(catalogue.time.astype(str), kind="stable")
    times = [str(t) for t in catalogue.time[order] if str(t)]
    facts = {"events": Quantity(count, "", "events")}
    if times:
        facts |= {"first": Quantity(times[0], "UTC", "first event"), "last": Quantity(times[-1], "UTC", "last event")}
    for name, unit in (("latitude", "deg"), ("longitude", "deg"), ("depth", "km")):
        values = getattr(catalogue, name)
        if np.isfinite(values).any():
            facts[name] = Quantity([round(float(np.nanmin(values)), 5), round(float(np.nanmax(values)), 5)], unit, f"{name} range")
        if lost := int(np.sum(~np.isfinite(values))):
            notes.append(f"{lost} of {count} events have no {name}")
    known = np.isfinite(catalogue.magnitude)
    kinds = Counter(str(kind) or UNKNOWN for kind in catalogue.magnitude_type[known])
    if known.any():
        row = int(np.nanargmax(catalogue.magnitude))
        place = [round(float(catalogue.latitude[row]), 5), round(float(catalogue.longitude[row]), 5)]
        facts |= {
            "magnitude": Quantity([float(np.nanmin(catalogue.magnitude)), float(np.nanmax(catalogue.magnitude))], "", "magnitude range"),
            "magnitude_types": Quantity([f"{kind} ({n})" for kind, n in sorted(kinds.items())], "", "magnitude types"),
            "largest": Quantity(float(catalogue.magnitude[row]), "", "largest magnitude"),
            "largest_type": Quantity(str(catalogue.magnitude_type[row]) or UNKNOWN, "", "type of the largest magnitude"),
            "largest_time": Quantity(str(catalogue.time[row]), "UTC", "time of the largest event"),
        }
        if np.isfinite(place).all():
            facts["largest_place"] = Quantity(place, "deg", "latitude and longitude of the largest event")
        if np.isfinite(catalogue.depth[row]):
            facts["largest_depth"] = Quantity(round(float(catalogue.depth[row]), 4), "km", "depth of the largest event")
    if len(kinds) > 1:
        notes.append("magnitudes of different types are not one scale: " + ", ".join(_kind_range(catalogue, kind) for kind in sorted(kinds)))
    if not known.all():
        notes.append(f"{int((~known).sum())} of {count} events have no magnitude")
    errors = {name: getattr(catalogue, name, None) for name in ("horizontal_error", "depth_error", "time_error")}
    stated = {name: np.asarray(values, float) for name, values in errors.items() if values is not None}
    if zero := sum(int(np.sum(values == 0)) for values in stated.values()):
        notes.append(f"{zero} uncertainties are exactly zero: taken as not stated")
    stated = {name: np.where(values > 0, values, np.nan) for name, values in stated.items()}
    held = {name: values for name, values in stated.items() if np.isfinite(values).any()}
    for name, values in held.items():
        unit = "s" if name == "time_error" else "km"
        facts[name] = Quantity(round(float(np.nanmedian(values)), 4), unit, f"median {name.replace('_', ' ')}")
    if held:
        given = ", ".join(f"{int(np.isfinite(values).sum())} ({name.replace('_', ' ')})" for name, values in held.items())
        notes.append(f"uncertainties are the file's own; given for {given} of {count} events")
    else:
        located = [catalogue.facts[key] for key in ("ellipse_major", "ellipse_minor", "depth_error") if key in catalogue.facts]
        own = [f"{fact.label} {fact}" for fact in located]
        notes.append("; ".join(own) if own else "no uncertainties of the locations are given")
    rows = order[:SHOWN]
    if count > SHOWN:
        notes.append(f"the table holds the first {SHOWN} of {count} events")
    arrays = {
        "time": catalogue.time[rows].astype(str), "latitude": catalogue.latitude[rows], "longitude": catalogue.longitude[rows],
        "depth": catalogue.depth[rows], "magnitude": catalogue.magnitude[rows], "magnitude_type": catalogue.magnitude_type[rows].astype(str),
    } | {name: values[rows] for name, values in held.items()}  # fmt: skip
    title = f"{count} event{'s' if count > 1 else ''} of {catalogue.title or 'the catalogue'}"
    return Report(title=title, facts=facts, notes=tuple(notes), arrays=arrays, drawing="events")


def _kind_range(catalogue: Catalogue, kind: str) -> str:
    which = np.array([(str(other) or UNKNOWN) == kind for other in catalogue.magnitude_type])
    values = catalogue.magnitude[which]
    return f"{kind} {np.nanmin(values):g} to {np.nanmax(values):g}"


def _metadata(response: Response) -> Report:
    notes = list(response.notes)
    rows = [(network, station, channel) for network in response.inventory for station in network for channel in station]
    stations = sorted({(f"{n.code}.{s.code}", float(s.latitude), float(s.longitude), float(s.elevation)) for n in response.inventory for s in n})
    if not stations:
        raise Refusal("E_DATA", "the station metadata describe no station.")
    names = sorted({row[0] for row in stations})
    facts = {
        "networks": Quantity(sorted({network.code for network in response.inventory}), "", "networks"),
        "stations": Quantity(len(names), "", "stations"),
        "names": Quantity(names[:50], "", "station names"),
        "channels": Quantity(len({f"{n.code}.{s.code}.{c.location_code}.{c.code}" for n, s, c in rows}), "", "channels"),
        "channel_epochs": Quantity(len(rows), "", "channel epochs"),
        "latitude": Quantity([min(r[1] for r in stations), max(r[1] for r in stations)], "deg", "latitude range"),
        "longitude": Quantity([min(r[2] for r in stations), max(r[2] for r in stations)], "deg", "longitude range"),
        "elevation": Quantity([min(r[3] for r in stations), max(r[3] for r in stations)], "m", "elevation range"),
    }
    columns = ("channel", "start", "end", "latitude", "longitude", "elevation", "rate", "azimuth", "dip", "sensitivity")
    table: dict[str, list[Any]] = {key: [] for key in columns}
    units, sensors, without = set(), set(), []
    for network, station, channel in rows:
        name = f"{network.code}.{station.code}.{channel.location_code}.{channel.code}"
        held = channel.response.instrument_sensitivity if channel.response is not None else None
        if channel.response is None or not channel.response.response_stages:
            without.append(name)
        if held is not None and held.input_units:
            units.add(str(held.input_units).lower())
        if channel.sensor is not None and (channel.sensor.type or channel.sensor.model or channel.sensor.description):
            sensors.add(str(channel.sensor.type or channel.sensor.model or channel.sensor.description)[:40])
        values = (
            name, str(channel.start_date or ""), str(channel.end_date or ""), channel.latitude, channel.longitude, channel.elevation,
            channel.sample_rate, channel.azimuth, channel.dip, held.value if held is not None else None,
        )  # fmt: skip
        for key, value in zip(table, values, strict=True):
            table[key].append(value if isinstance(value, str) else np.nan if value is None else float(value))
    if rows:
        rates = sorted({rate for rate in table["rate"] if np.isfinite(rate)})
        facts["sampling_rates"] = Quantity(rates, "Hz", "sampling rates")
        starts, ends = [t for t in table["start"] if t], table["end"]
        if starts:
            facts["start"] = Quantity(min(starts), "UTC", "earliest epoch")
        still = "" in ends or max(ends) > "2100"
        facts["end"] = Quantity("open" if still else max(ends), "" if still else "UTC", "end of the last epoch")
        facts["without_response"] = Quantity(len(without), "", "channel epochs without a response")
    if units:
        facts["input_units"] = Quantity(sorted(units), "", "input units of the sensors")
    if sensors:
        facts["sensors"] = Quantity(sorted(sensors)[:12], "", "sensors")
    if without:
        notes.append("no response stages: " + ", ".join(sorted(set(without))[:10]))
    named = {"N": 0.0, "E": 90.0}
    pairs = [(name, azimuth - named[name[-1]]) for name, azimuth in zip(table["channel"], table["azimuth"], strict=True) if name[-1] in named]
    if turned := sorted({name for name, off in pairs if abs((off + 180) % 360 - 180) > 5}):
        notes.append("azimuths more than 5 deg off the component's name: " + ", ".join(turned[:10]))
    moved = [name for name in names if len({row[1:3] for row in stations if row[0] == name}) > 1]
    if moved:
        notes.append(f"stations with more than one position: {', '.join(moved[:10])}")
    arrays = {key: np.array(values[:SHOWN]) for key, values in table.items()}
    title = f"{len(names)} station{'s' if len(names) > 1 else ''} of {response.title or 'the station metadata'}"
    return Report(title=title, facts=facts, notes=tuple(notes), arrays=arrays, drawing="epochs" if any(table["start"]) else "")
