"""Which tools a request is offered."""

from __future__ import annotations

import hashlib

import numpy as np
from safetensors import safe_open

from moho.agent import offer
from moho.agent.registry import find_tool


def test_the_vectors_that_ship_are_of_the_phrasings_that_ship() -> None:
    _, texts, vectors = offer._phrases()
    with safe_open(offer.VECTORS, "numpy") as held:
        assert held.metadata()["phrases"] == hashlib.sha256("\n".join(texts.tolist()).encode()).hexdigest()[:16], "run `make docs`"
    assert vectors.shape == (len(texts), 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)


def test_in_place_of_a_tool_without_data_stands_the_one_that_makes_them() -> None:
    offered = offer.choose("pick it and locate the earthquake, velocity 6 km/s", {"rjob": "Waveforms"})
    assert "pick_phases" in offered
    assert "locate_event" not in offered
    assert "locate_event" in offer.choose("locate the earthquake, velocity 6 km/s", {"rjob": "Waveforms", "picks": "Picks"})
    assert offer.maker(find_tool("remove_trend"), {"Gravity"}) == "grid_trend"
    assert offer.maker(find_tool("locate_event"), {"Well"}) == ""


def test_a_tool_that_nothing_leads_to_stays_so_that_the_refusal_can_say_what_is_missing() -> None:
    assert "locate_event" in offer.choose("locate the earthquake", {"A-1": "Well"})


def test_a_word_that_hardly_another_tool_is_known_by_brings_its_tool_on_offer() -> None:
    assert "attributes" in offer.choose("coherence line 10, 60ms window", {"line 10": "Seismic"})


def test_phrasings_that_a_request_was_made_of_do_not_count_for_it() -> None:
    say = find_tool("bandpass").say[0]
    request = say.replace("{line}", "line").replace("{low}", "low").replace("{high}", "high")
    names, with_ = offer._nearness((request,))
    _, without = offer._nearness((request,), frozenset([say]))
    place = names.index("bandpass")
    assert with_[place, 0] > 0.99 > without[place, 0]
    assert np.array_equal(np.delete(with_, place), np.delete(without, place))


def test_a_tool_that_is_far_nearer_than_all_others_is_offered_alone() -> None:
    assert offer.choose("Which band holds 5 to 95 % of the energy of the line?", {"line": "Seismic"}) == ["trace_qc"]
    assert len(offer.choose("filter it 8-45 Hz, then AGC", {"line": "Seismic"})) > 3
