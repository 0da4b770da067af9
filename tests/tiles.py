"""Grids of pictures (`flowers_core.ui.tiles`) as page tests meet them: AppTest knows no components."""

import json

from streamlit.components.v2.bidi_component.main import _make_trigger_id
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest


def shown(app: AppTest) -> list[dict]:
    """What the page's grid holds; [] without one."""
    grids = _grids(app)
    return json.loads(grids[0].proto.json)["tiles"] if grids else []


def titles(app: AppTest) -> list[str]:
    """Of all of its tiles."""
    return [tile["title"] for tile in shown(app)]


def click(app: AppTest, number: int = 0, title: str = "") -> AppTest:
    """A click on the tile with that title, or on the one of that number."""
    number = titles(app).index(title) if title else number
    return click_id(app, shown(app)[number]["id"])


def click_id(app: AppTest, tile: object) -> AppTest:
    """A click on a tile that may not be there any more."""
    (grid,) = _grids(app)
    clicked = json.dumps([{"event": "clicked", "value": tile}])
    return send(app, WidgetState(id=_make_trigger_id(grid.proto.id, "events"), json_trigger_value=clicked))


def _grids(app: AppTest) -> list:
    return [each for each in app.main.get("bidi_component") if "tiles" in json.loads(each.proto.json or "{}")]


def send(app: AppTest, state: WidgetState) -> AppTest:
    """What a browser tells after a click that AppTest has no method for."""
    states = app._tree.get_widget_states()
    states.widgets.append(state)
    return app._run(states)
