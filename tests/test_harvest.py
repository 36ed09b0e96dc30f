"""The numbers that instruction data ask about are those that the tools return."""

from __future__ import annotations

from moho.agent.registry import load_tools
from moho.rl import harvest

SHOWN = {"bandpass", "vshale", "gravity_disturbance", "grid_trend", "continue_derive", "filter_waveforms", "segy_inspect"}


def test_what_comes_with_moho_is_what_the_tools_return_now() -> None:
    fresh = harvest.collect(harvest.SEEDS[:1], skip=set(load_tools()) - SHOWN)
    kept = harvest.harvest()
    assert set(fresh) == SHOWN
    for name, results in fresh.items():
        for on, made, facts in results:
            known = [shown for kind, shown in kept[name] if kind == on]
            assert any(set(facts) == set(shown) for shown in known), (name, on, sorted(facts))
            assert {key: facts[key].unit for key in facts} in [{key: shown[key].unit for key in shown} for shown in known]
            assert harvest.made_kind_of(name, on) == ("" if made == "Report" else made)


def test_most_tools_are_there_and_none_that_is_gone() -> None:
    kept = harvest.harvest()
    assert set(kept) <= set(load_tools())
    assert len(kept) >= 70
    assert all(facts for results in kept.values() for _, facts in results)
    assert all(len(quantity.value) <= harvest.FEW for results in kept.values() for _, facts in results for quantity in facts.values()
               if isinstance(quantity.value, list))  # fmt: skip
