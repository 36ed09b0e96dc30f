"""The field's abbreviations and synonyms: a query in one form also finds the passages written in the other."""

from __future__ import annotations

import re

# Each group names one thing. An abbreviation of capitals is recognised in capitals only ("AI", not "ai" inside a word).
GROUPS: tuple[tuple[str, ...], ...] = (
    ("FWI", "full-waveform inversion", "full waveform inversion"),
    ("AI", "acoustic impedance"),
    ("EI", "elastic impedance"),
    ("AVO", "AVA", "amplitude versus offset", "amplitude variation with offset", "amplitude versus angle"),
    ("NMO", "normal moveout", "normal move-out"),
    ("DMO", "dip moveout"),
    ("CDP", "CMP", "common midpoint", "common depth point"),
    ("AGC", "automatic gain control"),
    ("SRME", "surface-related multiple elimination"),
    ("RTM", "reverse-time migration"),
    ("PSDM", "pre-stack depth migration", "prestack depth migration"),
    ("PSTM", "pre-stack time migration", "prestack time migration"),
    ("LFM", "low-frequency model", "low frequency model", "background model"),
    ("VSP", "vertical seismic profile"),
    ("SNR", "S/N", "signal-to-noise ratio"),
    ("DHI", "direct hydrocarbon indicator"),
    ("TWT", "two-way time", "two-way travel time"),
    ("decon", "deconvolution"),
    ("f-k", "fk", "frequency-wavenumber"),
    ("f-x", "fx", "frequency-space"),
    ("Vp", "P-wave velocity", "compressional velocity"),
    ("Vs", "S-wave velocity", "shear velocity", "shear-wave velocity"),
    ("GR", "gamma ray"),
    ("Vsh", "shale volume", "volume of shale"),
    ("Sw", "water saturation"),
    ("Rw", "formation-water resistivity", "water resistivity"),
    ("RHOB", "bulk density"),
    ("NPHI", "neutron porosity"),
    ("DT", "sonic", "slowness", "transit time"),
    ("MD", "measured depth"),
    ("TVD", "true vertical depth"),
    ("TOC", "total organic carbon"),
    ("RTP", "reduction to the pole", "reduced to the pole"),
    ("IGRF", "geomagnetic reference field"),
    ("TMI", "total magnetic intensity", "total field"),
    ("CBA", "complete Bouguer anomaly"),
    ("MT", "magnetotelluric", "magnetotellurics"),
    ("ERT", "DC resistivity", "electrical resistivity tomography", "resistivity imaging"),
    ("IP", "induced polarisation", "induced polarization"),
    ("EM", "electromagnetic"),
    ("CSEM", "controlled-source electromagnetic"),
    ("STA/LTA", "short-term average", "short-term to long-term average"),
    ("AIC", "Akaike information criterion"),
    ("PGV", "peak ground velocity"),
    ("PSD", "PPSD", "power spectral density"),
    ("Mw", "moment magnitude"),
    ("ML", "local magnitude", "Richter magnitude"),
    ("b-value", "Gutenberg-Richter"),
    ("Mc", "magnitude of completeness", "completeness magnitude"),
    ("DAS", "distributed acoustic sensing"),
    ("PML", "perfectly matched layer", "absorbing boundary"),
    ("CFL", "Courant", "Courant-Friedrichs-Lewy"),
    ("SVD", "singular value decomposition"),
    ("FFT", "Fourier transform"),
    ("well tie", "seismic-to-well tie", "well-to-seismic tie"),
    ("checkshot", "check shot", "check-shot"),
    ("groundroll", "ground roll", "surface waves"),
    ("zero-phase", "zero phase"),
    ("pre-stack", "prestack"),
    ("post-stack", "poststack"),
)


def _pattern(form: str) -> re.Pattern[str]:
    words = re.escape(form).replace(r"\-", r"[-\s]?").replace(r"\ ", r"[-\s]+")
    return re.compile(rf"(?<![\w/]){words}(?![\w/])", 0 if form.isupper() else re.I)


_PATTERNS = tuple(tuple((form, _pattern(form)) for form in group) for group in GROUPS)


def expand(query: str) -> list[str]:
    """The other names of what `query` speaks of, those it does not use already; at most three a thing."""
    other: list[str] = []
    for group in _PATTERNS:
        said = [form for form, pattern in group if pattern.search(query)]
        if said:
            other += [form for form, _ in group if form not in said][:3]
    return other
