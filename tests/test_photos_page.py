"""Photos in detail: what stands above them, how one opens, and what settings are called here."""

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiles
from app_pages import button, counted, jpeg, metrics, opened, tables, texts, unescaped
from conftest import KINDS, draw_set
from PIL import Image
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest

from flowers_core.photos import problems
from flowers_core.photos.cache import decode_source
from flowers_core.sources import Photo, edits, library, open_source, own
from flowers_core.ui import pictures, words
from flowers_core.ui.photos import data_charts, kinds, photo_page

pytestmark = pytest.mark.usefixtures("nothing_kept")


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


@pytest.mark.usefixtures("known")
def test_photos_counts_kinds_and_splits() -> None:
    assert counted(opened("photos")) == {"Kinds": "3", "Train": "12", "Valid": "6", "Test": "6", "Left out": "0"}


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("term", "found"),
    [("", list(KINDS)), ("ROSE", ["rose"]), ("helianthus", ["sunflower"]), ("d", ["daffodil"]), ("rose__", [])],
)
def test_kinds_are_found_by_any_of_their_names(term: str, found: list[str]) -> None:
    app = opened("photos")
    search = next(each for each in app.text_input if each.label == "Search")
    search.set_value(term).run()
    assert tiles.titles(app) == found
    assert texts(app, "info") == ([] if found else ["No kind has that in its name."])


@pytest.mark.usefixtures("known")
def test_a_kind_opens_with_its_photos_and_closes_again() -> None:
    app = opened("photos")
    tiles.click(app, title="sunflower")
    assert not app.exception
    assert texts(app, "header") == ["sunflower"]
    assert "*Helianthus annuus*" in texts(app, "markdown")
    assert app.query_params["kind"] in ("sunflower", ["sunflower"])
    assert len(app.main.get("image")) == 1, "the mean of all"
    assert len(tiles.shown(app)) == 8
    splits = next(each for each in app.get("pills") if each.label == "Splits")
    splits.set_value(["valid"]).run()
    assert len(tiles.shown(app)) == 2
    button(app, "All kinds").click().run()
    assert not texts(app, "header")
    assert len(tiles.shown(app)) == 3


@pytest.mark.usefixtures("known")
def test_the_view_that_is_shown_closes_a_kind_when_it_is_clicked_again() -> None:
    app = opened("photos", kind="sunflower")
    view = next(each for each in app.get("button_group") if each.label == "View")
    view.set_value(None).run()
    assert not texts(app, "header")
    assert "kind" not in app.query_params
    assert next(each for each in app.get("button_group") if each.label == "View").value == "Kinds"


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("view", "charts", "pictures"),
    [("Charts", 5, 0), ("Varying the photos", 0, 12), ("Map", 1, 0), ("Problems", 0, 0)],
)
def test_other_views_of_the_photos_run(view: str, charts: int, pictures: int) -> None:
    app = opened("photos", view=view)
    assert not app.exception
    kind = "plotly_chart" if view == "Map" else "vega_lite_chart"
    assert len(app.main.get(kind)) == charts
    assert len(app.main.get("image")) == pictures


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("order", ["Most photos", "Without test photos"])
def test_kinds_are_sorted_and_filtered_by_their_photos(order: str, tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "uneven", {"Train": 2, "Valid": 1, "Test": 1}, size=24)
    shutil.copy(folder / "Train/rose/1.jpg", folder / "Train/rose/3.jpg")
    shutil.rmtree(folder / "Test" / "sunflower")
    library.remember(folder, "uneven")
    app = opened("photos")
    box = next(each for each in app.selectbox if order in each.options)
    box.select(order).run()
    assert tiles.titles(app) == (["rose", "daffodil", "sunflower"] if order == "Most photos" else ["sunflower"])


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("part", "shown"),
    [("What the network sees", 1 + 4), ("Varying the photos", 1 + 12), ("Neighbours", 1 + 8), ("Colours", 1)],
)
def test_a_photo_has_a_page_that_can_be_linked(part: str, shown: int, photo: Photo) -> None:
    app = opened("photos", kind="rose", photo=photo.id, part=part)
    assert not app.exception
    assert texts(app, "header") == ["rose"]
    assert "Train/rose/2.jpg" in texts(app, "text")
    assert metrics(app)["Pixels"] == "96×96"
    assert metrics(app)["Split"] == "train"
    assert len(app.main.get("image")) + len(tiles.shown(app)) == shown


@pytest.mark.usefixtures("known")
def test_a_photo_opens_from_its_kind_leads_to_the_next_and_back() -> None:
    app = opened("photos", kind="rose")
    tiles.click(app)
    assert "Train/rose/1.jpg" in texts(app, "text")
    button(app, "Next").click().run()
    assert "Train/rose/2.jpg" in texts(app, "text")
    button(app, "Back").click().run()
    assert texts(app, "header") == ["rose"]
    assert "photo" not in app.query_params
    assert not opened("photos", kind="rose", photo="0123").exception, "a photo that is gone shows its kind"


@pytest.mark.usefixtures("known")
def test_sliders_change_what_the_variations_look_like(photo: Photo) -> None:
    app = opened("photos", kind="rose", photo=photo.id, part="Varying the photos")
    assert "As “As usual” has it." in texts(app, "caption")
    before = [image.proto.imgs[0].url for image in app.main.get("image")][1:]
    next(each for each in app.slider if each.label.startswith("Rotation")).set_value(90.0).run()
    assert "Changed from “As usual”: rotation." in texts(app, "caption")
    assert [image.proto.imgs[0].url for image in app.main.get("image")][1:] != before


@pytest.mark.usefixtures("known")
def test_a_photo_is_excluded_moved_and_relabelled_and_each_is_undone(photo: Photo) -> None:
    app = opened("photos", kind="rose", photo=photo.id)
    button(app, "Exclude").click().run()
    assert counted(opened("photos"))["Train"] == "11"
    assert texts(app, "header") == ["rose"], "its kind is shown instead"
    button(app, "Undo").click().run()
    assert counted(opened("photos"))["Train"] == "12"
    app = opened("photos", kind="rose", photo=photo.id)
    button(app, "Change").click().run()
    button(app, "Move to valid").click().run()
    assert counted(opened("photos"))["Valid"] == "7"
    assert metrics(app)["Split"] == "valid"
    button(app, "Change").click().run()
    app.selectbox(key="photo-kind").select("daffodil").run()
    button(app, "Relabel").click().run()
    assert texts(app, "header") == ["daffodil"]
    app = opened("photos", view="Problems")
    assert [each.label for each in app.button].count("Undo") == 2
    button(app, "Undo 2 changes").click().run()
    assert counted(app)["Valid"] == "6"


def test_what_a_click_settled_stays_in_its_place(tmp_path: Path) -> None:
    """Else the next problem's buttons lie under the hand that has just clicked."""
    folder = draw_set(tmp_path / "copied", {"Train": 2, "Valid": 1})
    for kind in ("rose", "daffodil"):
        shutil.copy(folder / f"Train/{kind}/1.jpg", folder / f"Valid/{kind}/again.jpg")
    library.remember(folder, "copied")
    app = opened("photos", view="Problems")
    keep = [each.key for each in app.button if each.label == "Keep one"]
    assert len(keep) == 2
    app.button(key=keep[0]).click().run()
    assert [each.key for each in app.button if each.label == "Keep one"] == keep[1:], "the other one has not moved"
    assert sum(text.endswith(": excluded.") for text in texts(app, "text")) == 1
    next(each for each in app.button if str(each.key).startswith("unsettle-")).click().run()
    assert [each.key for each in app.button if each.label == "Keep one"] == keep
    app.button(key=keep[1]).click().run()
    app = opened("photos", view="Problems")
    assert len([each for each in app.button if each.label == "Keep one"]) == 1
    assert not [each for each in app.button if str(each.key).startswith("unsettle-")], "another visit begins anew"


def test_problems_are_shown_side_by_side_with_remedies(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "copied", {"Train": 2, "Valid": 1})
    shutil.copy(folder / "Train/rose/1.jpg", folder / "Valid/rose/again.jpg")
    library.remember(folder, "copied")
    app = opened("photos", view="Problems")
    assert "1 of them lies in more than one split" in texts(app, "warning")[0]
    assert {"Train/rose/1.jpg", "Valid/rose/again.jpg"} <= set(texts(app, "text"))
    button(app, "Keep one").click().run()
    assert counted(app)["Valid"] == "3"
    assert counted(app)["Train"] == "6"
    assert not texts(app, "warning")
    next(each for each in app.button if each.key == "undo-last").click().run()
    assert counted(app)["Valid"] == "4"
    assert texts(app, "warning")
    button(app, "It is fine").click().run()
    assert counted(app)["Valid"] == "4"
    assert not texts(app, "warning")


def test_which_kind_copies_among_several_are_of_is_asked(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "mixed", {"Train": 2, "Valid": 1})
    shutil.copy(folder / "Train/sunflower/1.jpg", folder / "Train/rose/a wrong place.jpg")
    library.remember(folder, "mixed")
    app = opened("photos", view="Problems")
    assert "Only you can tell which is right" in " ".join(texts(app, "warning"))
    labels = [each.label for each in app.button]
    assert not [label for label in labels if label.startswith("Keep one")], "no guess"
    button(app, "Keep it as sunflower").click().run()
    assert counted(app)["Train"] == "6"
    decoded = decode_source(open_source(library.find("mixed").data))
    assert "Train/sunflower/1.jpg" in {photo.name for photo in decoded.source.photos}


@pytest.mark.parametrize("view", ["Map", "Problems"])
@pytest.mark.usefixtures("known")
def test_back_from_a_photo_leads_to_the_view_that_it_was_opened_in(view: str, photo: Photo) -> None:
    app = opened("photos", view=view, kind="rose", photo=photo.id)
    button(app, "Back").click().run()
    assert not {"kind", "photo"} & set(app.query_params)
    assert [each for each in app.button if each.label == "Look again"], "what stands above all photos is back"


def test_when_all_photos_are_excluded_the_way_back_stays_open(known: library.KnownSet) -> None:
    decoded = decode_source(open_source(known.data))
    edits.add(decoded.source.key, problems.edits_for(decoded, range(24), edits.EXCLUDE))
    for page in ("train", "photos"):
        app = opened(page, data=known.id)
        assert not app.exception
        assert "Every photo of this set has been excluded" in unescaped(app.error[0].value)
    (asks,) = [each for each in app.main.get("popover") if each.proto.popover.label == "Undo all"]
    assert "This can't be taken back." in [each.value for each in asks.get("text")]
    (sure,) = asks.get("button")
    assert sure.label == "Undo 24 changes"
    last = edits.load(decoded.source.key)[-1]
    next(each for each in app.button if each.key == f"undo-{last.id}").click().run()
    assert counted(app)["Valid"] == "1", "one of them can be undone alone, too"
    edits.add(decoded.source.key, [last])
    app = opened("photos", data=known.id)
    button(app, "Undo 24 changes").click().run()
    assert counted(app)["Train"] == "12"
    assert edits.load(decoded.source.key) == ()


def test_the_garden_grows_from_the_page() -> None:
    app = opened("photos", data="garden")
    assert counted(app)["Train"] == "30"
    app.session_state["grow-more"] = True
    app.run()
    for split, count in (("train", 2), ("valid", 1), ("test", 1)):
        app.number_input(key=f"grow-{split}").set_value(count).run()
    button(app, "Grow").click().run()
    assert not app.exception
    assert counted(app) == {"Kinds": "30", "Train": "60", "Valid": "30", "Test": "30", "Left out": "0"}


@pytest.mark.parametrize("count", [0, -3, 5001, 10**12])
def test_a_garden_of_an_odd_number_is_refused_with_the_numbers_that_are_possible(count: int) -> None:
    app = opened("photos", data="garden")
    app.session_state["grow-more"] = True
    app.run()
    app.number_input(key="grow-train").set_value(2).run()
    app.number_input(key="grow-train").set_value(count).run()
    assert not app.exception
    assert [unescaped(error.value) for error in app.error] == ["The garden can't grow that."]
    assert "Give 1 to 5,000 for each of train, valid, test." in texts(app, "text")
    assert not [each for each in app.button if each.label == "Grow"], "nor does the number before count any more"
    app.number_input(key="grow-train").set_value(2).run()
    assert not button(app, "Grow").disabled


def test_files_that_are_left_out_are_listed_with_the_reason(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "flawed", {"Train": 2, "Valid": 1}, size=24)
    (folder / "Train" / "rose" / "broken.jpg").write_bytes(b"no picture")
    (folder / "Train" / "rose" / "notes.txt").write_text("Bought on Monday")
    library.remember(folder, "flawed")
    app = opened("photos", view="Problems")
    next(choice for choice in app.get("pills") if choice.key == "problem").set_value("unreadable").run()
    assert counted(app)["Left out"] == "2"
    assert counted(app)["Train"] == "6"
    (table,) = tables(app)
    assert dict(zip(table["File"], table["Reason"], strict=True)) == {
        "Train/rose/notes.txt": "not a photo (.txt)",
        "Train/rose/broken.jpg": "Not a picture in a known format",
    }


def test_look_again_finds_a_photo_that_was_replaced_in_place(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "mended", {"Train": 2, "Valid": 1}, size=24)
    broken = folder / "Train" / "rose" / "1.jpg"
    whole = broken.read_bytes()
    broken.write_bytes(b"no picture")
    library.remember(folder, "mended")
    app = opened("photos")
    assert counted(app)["Left out"] == "1"
    broken.write_bytes(whole)
    button(app, "Look again").click().run()
    assert counted(app)["Left out"] == "0"
