"""Photos in detail: what stands above them, how one opens, and what settings are called here."""

# ruff: noqa: F401, F811 - fixtures are found by their names

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import tiles
from conftest import draw_set
from PIL import Image
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest
from test_pages import _nothing_kept, button, counted, jpeg, known, opened, photo, texts

from flowers_core.photos import problems
from flowers_core.photos.cache import decode_source
from flowers_core.sources import Photo, edits, library, open_source, own
from flowers_core.ui import pictures, words
from flowers_core.ui.photos import data_charts, kinds, photo_page


@pytest.mark.usefixtures("known")
def test_the_pages_of_a_kind_and_a_photo_keep_their_room_for_it(photo: Photo) -> None:
    app = opened("photos")
    assert not app.metric, "one line says how many there are"
    assert "3 kinds · 12 train · 6 valid · 6 test" in texts(app, "markdown")
    assert [each for each in app.button if each.label == "Look again"]
    for query in ({"kind": "rose"}, {"kind": "rose", "photo": photo.id}):
        app = opened("photos", **query)
        assert not [text for text in texts(app, "markdown") if " valid · " in text]
        assert not [each for each in app.button if each.label == "Look again"]


def test_findings_follow_photos_that_are_renamed_under_a_running_app(tmp_path: Path) -> None:
    root = draw_set(tmp_path / "renamed", {"Train": 3, "Valid": 1}, size=64)
    rose = root / "Train/rose"
    (rose / "1.jpg").write_bytes((rose / "2.jpg").read_bytes())
    library.remember(root, "renamed")
    assert "Train/rose/2.jpg" in texts(opened("photos", view="Problems"), "text")
    (rose / "2.jpg").rename(rose / "9.jpg")
    shown = texts(opened("photos", view="Problems"), "text")
    assert {"Train/rose/1.jpg", "Train/rose/9.jpg"} <= set(shown)
    assert "Train/rose/3.jpg" not in shown


@pytest.mark.usefixtures("known")
def test_a_link_to_a_kind_that_is_gone_shows_all_of_them() -> None:
    app = opened("photos", kind="no such kind", photo="0123")
    assert not app.exception
    assert counted(app)["Kinds"] == "3"
    assert not {"kind", "photo"} & set(app.query_params)


@pytest.mark.usefixtures("known")
def test_photos_of_a_kind_open_by_a_click_on_them() -> None:
    app = opened("photos", kind="rose")
    assert [tile["note"].split(" · ")[0] for tile in tiles.shown(app)] == [
        *4 * ["train"],
        *2 * ["valid"],
        *2 * ["test"],
    ]
    photo = tiles.shown(app)[5]["id"]
    tiles.click(app, 5)
    assert app.query_params["photo"] in (photo, [photo])
    assert "Valid/rose/2.jpg" in texts(app, "text")


@pytest.mark.usefixtures("known")
def test_a_click_on_what_is_gone_meanwhile_does_nothing() -> None:
    app = opened("photos", kind="rose")
    gone = tiles.shown(app)[0]["id"]
    next(each for each in app.get("pills") if each.label == "Splits").set_value(["valid"]).run()
    for tile in (gone, {"kind": "rose"}, None):
        tiles.click_id(app, tile)
        assert not app.exception
        assert "photo" not in app.query_params
        assert len(tiles.shown(app)) == 2


def test_a_photos_own_picture_is_as_large_as_a_screen(tmp_path) -> None:
    for kind in ("rose", "tulip"):
        (tmp_path / "big" / kind).mkdir(parents=True)
        Image.effect_noise((3000, 2000), 50).convert("RGB").save(tmp_path / "big" / kind / "1.jpg")
    decoded = decode_source(open_source(tmp_path / "big"))
    shown = photo_page._picture(decoded.entries[0].digest, decoded, 0)
    assert Image.open(io.BytesIO(shown)).size[0] == photo_page.SHOWN_SIDE >= 1280


@pytest.mark.usefixtures("known")
def test_varying_the_photos_is_called_so_wherever_it_is_set(photo: Photo) -> None:
    name, choices = words.name_of("augmentation"), list(words.CHOICES["augmentation"].values())
    preview = opened("photos", view="Varying the photos")
    assert [group.options for group in preview.get("button_group") if group.label == name] == [choices]
    own = opened("photos", kind="rose", photo=photo.id, part=name)
    assert not own.exception
    assert choices in [group.options for group in own.get("button_group")]


def test_colours_of_a_kind_are_its_flowers_and_not_the_meadows() -> None:
    chance = np.random.default_rng(1)
    meadow = chance.integers(0, 20, (3, 256, 256, 3)) + np.array([60, 150, 50])

    def shades(flower: tuple[int, int, int]) -> np.ndarray:
        photos = meadow.copy()
        photos[:, 96:160, 96:160] = flower
        return data_charts.flower_shades(photos.astype(np.uint8))

    for flower in ((200, 20, 40), (250, 220, 30), (240, 240, 245)):
        assert shades(flower).shape == (data_charts.SHADES, 3)
        assert np.abs(shades(flower) - flower).max() <= 1
    assert (data_charts.flower_shades(meadow.astype(np.uint8))[:, 1] > 140).all(), "nothing but green is green"


def test_kinds_are_named_beside_their_colours(known: library.KnownSet) -> None:
    spec = json.loads(data_charts.colours(decode_source(open_source(known.data)), [0, 1, 2]).to_json())
    (rows,) = spec["datasets"].values()
    assert {row["kind"] for row in rows} == {"daffodil", "rose", "sunflower"}
    assert spec["encoding"]["y"]["field"] == "kind"
    assert spec["encoding"]["y"]["axis"]["labelOverlap"] is False


def exclude(known: library.KnownSet, count: int) -> str:
    """Excludes the first photos of a set; the key of its edits."""
    decoded = decode_source(open_source(known.data))
    edits.add(decoded.source.key, problems.edits_for(decoded, range(count), edits.EXCLUDE))
    return decoded.source.key


def test_all_changes_are_undone_after_a_question_and_none_that_was_made_meanwhile(known: library.KnownSet) -> None:
    key = exclude(known, 3)
    app = opened("photos", view="Problems")
    (asks,) = [each for each in app.main.get("popover") if each.proto.popover.label == "Undo all"]
    (sure,) = asks.get("button")
    assert sure.label == "Undo 3 changes"
    exclude(known, 1)
    sure.click().run()
    assert not app.exception
    assert len(edits.load(key)) == 1


def test_one_change_has_its_own_undo_and_no_undo_all(known: library.KnownSet) -> None:
    key = exclude(known, 1)
    app = opened("photos", view="Problems")
    assert not [each for each in app.main.get("popover") if each.proto.popover.label == "Undo all"]
    button(app, "Undo").click().run()
    assert edits.load(key) == ()


def test_a_click_on_the_map_opens_the_photo_below_it(known: library.KnownSet) -> None:
    photos = decode_source(open_source(known.data)).source.photos
    for trace, place in ((0, 1), (2, 3)):
        app = opened("photos", view="Map")
        (chart,) = app.main.get("plotly_chart")
        packed = json.loads(chart.proto.spec)["data"][trace]["customdata"]
        index = int(np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"])[place])
        click(app, chart.proto.id, {"curve_number": trace, "point_index": place, "customdata": index})
        assert not app.exception
        assert app.query_params["photo"] == photos[index].id
        assert photos[index].name in texts(app, "text")


def click(app: AppTest, chart: str, point: dict) -> None:
    """What a browser sends when a point of a chart is clicked; AppTest knows no such click."""
    selection = {"points": [point], "point_indices": [point["point_index"]], "box": [], "lasso": []}
    tiles.send(app, WidgetState(id=chart, string_value=json.dumps({"selection": selection})))


def turn_to(app: AppTest, page: int) -> None:
    """A click on a page's number in the pager."""
    (pager,) = app.main.get("pagination")
    tiles.send(app, WidgetState(id=pager.proto.id, int_value=page))


@pytest.fixture
def many_kinds(tmp_path: Path) -> list[str]:
    """The names of very many kinds, in the order of the page, whose set is there."""
    names = [f"kind {n}" for n in range(2 * kinds.PER_PAGE + 10)]
    for n, name in enumerate(names):
        (tmp_path / "many" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), (n, 255 - n, 0)).save(tmp_path / "many" / name / "1.png")
    library.remember(tmp_path / "many", "many kinds")
    return names


def test_very_many_kinds_come_in_pages(many_kinds: list[str]) -> None:
    app = opened("photos")
    assert tiles.titles(app) == many_kinds[: kinds.PER_PAGE]
    turn_to(app, 3)
    assert not app.exception
    assert tiles.titles(app) == many_kinds[2 * kinds.PER_PAGE :]
    tiles.click(app, title=many_kinds[-1])
    assert texts(app, "header") == [many_kinds[-1]]
    button(app, "All kinds").click().run()
    assert tiles.titles(app) == many_kinds[2 * kinds.PER_PAGE :], "the way back leads to where it began"


def test_a_search_is_over_all_pages_and_begins_on_its_first(many_kinds: list[str]) -> None:
    app = opened("photos")
    turn_to(app, 2)
    search = next(each for each in app.text_input if each.label == "Search")
    search.set_value("9").run()
    assert tiles.titles(app) == [name for name in many_kinds if "9" in name]
    assert not app.main.get("pagination")
    search = next(each for each in app.text_input if each.label == "Search")
    search.set_value("kind").run()
    assert tiles.titles(app) == many_kinds[: kinds.PER_PAGE]
    search = next(each for each in app.text_input if each.label == "Search")
    search.set_value(many_kinds[-1]).run()
    tiles.click(app, title=many_kinds[-1])
    button(app, "All kinds").click().run()
    assert tiles.titles(app) == [many_kinds[-1]], "what was searched for is still there"


def test_charts_of_very_many_kinds_come_in_pages_too(many_kinds: list[str]) -> None:
    app = opened("photos", view="Charts")
    assert tiles.titles(app) == many_kinds[: kinds.PER_PAGE]
    turn_to(app, 3)
    assert not app.exception
    last = many_kinds[2 * kinds.PER_PAGE :]
    assert tiles.titles(app) == last
    (rows,) = app.main.get("vega_lite_chart")[0].proto.datasets
    assert set(convert_arrow_bytes_to_pandas_df(rows.data.data)["kind"]) == set(last)


@pytest.mark.usefixtures("known")
def test_a_mean_image_leads_to_its_kind() -> None:
    app = opened("photos", view="Charts")
    tiles.click(app, title="rose")
    assert texts(app, "header") == ["rose"]
    button(app, "All kinds").click().run()
    assert tiles.titles(app) == ["daffodil", "rose", "sunflower"]
    assert app.query_params["view"] == "Kinds"


def test_a_photo_leads_back_to_the_page_of_photos_that_it_was_opened_on(tmp_path: Path) -> None:
    for folder, count in (("Train/rose", pictures.PER_PAGE + 2), ("Valid/tulip", 1)):
        (tmp_path / "set" / folder).mkdir(parents=True)
        for n in range(count):
            Image.new("RGB", (8, 8), (n, 200, count)).save(tmp_path / "set" / folder / f"{n}.png")
    app = opened("photos", data=library.remember(tmp_path / "set", "many photos").id, kind="rose")
    turn_to(app, 2)
    assert len(tiles.shown(app)) == 2
    tiles.click(app)
    assert f"Train/rose/{pictures.PER_PAGE}.png" in texts(app, "text")
    button(app, "Back").click().run()
    assert len(tiles.shown(app)) == 2


@pytest.mark.parametrize("view", ["Kinds", "Charts"])
@pytest.mark.usefixtures("known")
def test_few_kinds_have_no_pager(view: str) -> None:
    assert not opened("photos", view=view).main.get("pagination")


def test_a_dialog_is_about_one_set_and_ends_with_its_button(known: library.KnownSet, tmp_path: Path) -> None:
    other = library.remember(draw_set(tmp_path / "other", {"Train": 1, "Valid": 1}, size=24), "other")
    app = opened("photos", data=known.id)
    button(app, "About this set").click().run()
    assert button(app, "Delete the set")
    app.session_state["new-set"] = other.id  # as an import that ends
    app.run()
    assert not [each for each in app.button if each.label == "Delete the set"]
    app.session_state["new-set"] = known.id
    app.run()
    assert not [each for each in app.button if each.label == "Delete the set"]


def test_what_is_wrong_with_a_name_stands_in_the_dialog(known: library.KnownSet, tmp_path: Path) -> None:
    thrown = library.remember(draw_set(tmp_path / "other", {"Train": 1, "Valid": 1}, size=24), "other")
    library.delete(thrown.id)
    app = opened("photos", data=known.id)
    button(app, "About this set").click().run()
    next(field for field in app.text_input if field.label == "Name").set_value(" ")
    button(app, "Save").click().run()
    assert button(app, "Delete the set"), "it is still open"
    assert len(app.error) == 1


def test_an_own_set_that_is_empty_again_says_so_and_how_to_fill_it() -> None:
    added = own.add(jpeg(), "rose")
    own.undo(added)
    app = opened("photos", data=library.OWN)
    assert not app.exception
    assert not app.error
    assert any("is empty" in text for text in texts(app, "info"))
    assert button(app, "Add photos")
    assert any("is empty" in text for text in texts(opened("train", data=library.OWN), "info"))


def test_an_own_set_is_called_by_its_name_and_shown_by_its_button(known: library.KnownSet) -> None:
    own.add(jpeg(), "rose")
    library.change(library.OWN, name="Class 4b")
    app = opened("photos", data=known.id)
    button(app, "Add photos").click().run()
    next(choice for choice in app.get("pills") if choice.key == "way-in").set_value("own").run()
    button(app, "Show Class 4b").click().run()
    assert not app.exception
    assert app.selectbox(key="data").value == library.OWN
    assert "Show Class 4b" not in [each.label for each in app.button], "the dialog is closed"


def test_refused_photos_stay_where_they_were_chosen(known: library.KnownSet) -> None:
    app = opened("photos", data=known.id)
    button(app, "Add photos").click().run()
    next(choice for choice in app.get("pills") if choice.key == "way-in").set_value("own").run()
    app.session_state["own-kind"] = "rose"
    bad, good = ("a.jpg", b"no photo", "image/jpeg"), ("b.jpg", jpeg(), "image/jpeg")
    app.file_uploader(key="own-files-0").set_value([bad]).run()
    button(app, "Add to My own set").click().run()
    assert app.session_state["own-turn"] == 0
    assert len(app.error) == 1
    app.file_uploader(key="own-files-0").set_value([bad, good]).run()
    button(app, "Add to My own set").click().run()
    assert app.session_state["own-turn"] == 1
    assert [name for name, _ in app.session_state["own-refused"]] == ["a.jpg"]
