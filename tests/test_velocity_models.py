"""Models on a vertical plane: gradients, layers, dip, blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moho import plot
from moho.agent.tools.velocity_models import plane, velocity_model
from moho.errors import Missing, Refusal
from moho.store import dump, load


def test_a_gradient_and_layers_are_where_they_were_asked_for():
    model = velocity_model(1500.0, 400.0, 200.0, gradient=0.5, spacing=10.0, layer_depths=[50.0, 120.0], layer_velocities=[1800.0, 2500.0])
    assert model.data.shape == (41, 21)
    assert model.domain == "depth"
    assert model.unit == "m/s"
    z = model.times
    expected = np.select([z < 50, z < 120], [1500.0, 1800.0], 2500.0) + 0.5 * z
    np.testing.assert_allclose(model.data, np.tile(expected, (41, 1)), rtol=1e-6)


def test_a_dipping_interface_keeps_its_depth_in_the_middle_and_falls_to_the_right():
    model = velocity_model(1000.0, 400.0, 200.0, spacing=5.0, layer_depths=[100.0], layer_velocities=[2000.0], dip=10.0)
    depth = np.array([model.times[int(np.argmax(column > 1500))] for column in model.data])
    assert depth[40] == pytest.approx(100.0)
    slope = np.polyfit(model.x, depth, 1)[0]
    assert np.degrees(np.arctan(slope)) == pytest.approx(10.0, abs=0.2)


def test_a_block_is_centred_where_it_was_put():
    model = velocity_model(2000.0, 500.0, 300.0, spacing=10.0, block_velocity=2600.0, block_x=300.0, block_depth=150.0, block_size=60.0)
    columns, rows = np.nonzero(model.data == 2600.0)
    assert (model.x[columns].mean(), model.times[rows].mean()) == pytest.approx((300.0, 150.0))
    assert model.facts["block_nodes"].value == 49


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"spacing": 400.0}, Refusal, "nodes"),
        ({"spacing": 0.01}, Refusal, "more than"),
        ({"layer_depths": [50.0]}, ValueError, "velocity below"),
        ({"layer_depths": [80.0, 50.0], "layer_velocities": [1800.0, 1900.0]}, ValueError, "increase"),
        ({"dip": 85.0}, ValueError, "dip"),
        ({"gradient": -10.0}, Refusal, "lies between"),
        ({"block_velocity": 2000.0}, Missing, "block"),
        ({"block_velocity": 2000.0, "block_x": 9000.0, "block_depth": 50.0, "block_size": 20.0}, Refusal, "outside"),
    ],
)
def test_models_that_cannot_be_are_refused(changes, kind, words):
    with pytest.raises(kind, match=words):
        velocity_model(**{"top_velocity": 1500.0, "length": 400.0, "depth": 200.0} | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"domain": "time"}, "in depth is wanted"),
        ({"quantity": "amplitude"}, "holds amplitude"),
        ({"unit": "ft/s"}, "must be in m/s"),
        ({"data": np.full((41, 21), np.nan, np.float32)}, "hold no number"),
        ({"data": np.full((41, 21), 2.0, np.float32)}, "lies between"),
        ({"x": None, "dx": None}, "how far apart"),
        ({"x": np.arange(41.0) ** 2}, "even grid"),
    ],
)
def test_what_is_no_model_is_refused(changes, words):
    model = velocity_model(1500.0, 400.0, 200.0)
    with pytest.raises(Refusal, match=words):
        plane(replace(model, **changes))


def test_a_point_outside_the_model_is_refused_and_one_inside_is_in_nodes():
    ground = plane(velocity_model(1500.0, 400.0, 200.0))
    np.testing.assert_allclose(ground.nodes(np.array([15.0]), np.array([30.0]), "sources"), [[1.5, 3.0]])
    with pytest.raises(Refusal, match=r"1 of 2 sources lie outside the model, the first at 500 m"):
        ground.nodes(np.array([0.0, 500.0]), 0.0, "sources")


def test_a_model_is_drawn_over_position_and_depth_and_kept(tmp_path):
    model = velocity_model(1500.0, 400.0, 200.0, gradient=0.5)
    model = replace(model, view={"coverage": np.linspace(0, 1, model.data.size, dtype=np.float32).reshape(model.data.shape)})
    figure = plot.draw(model)
    ax = figure.axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("position (m)", "depth (m)")
    assert any("P velocity (m/s)" in other.get_ylabel() for other in figure.axes)
    path = tmp_path / "model.moho"
    path.write_bytes(dump(model))
    kept = load(path)
    np.testing.assert_array_equal(kept.view["coverage"], model.view["coverage"])
