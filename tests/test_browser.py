"""The app in a real Chromium: cold links, a training from start to finish, clicks on charts, upload and camera."""

import csv
import io
import itertools
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from browser_app import CHROMIUM, CHROMIUM_ARGS, Server, at_rest, save_model, until
from conftest import KINDS, draw_set
from PIL import Image

from flowers_core import garden, runs
from flowers_core.runs import Run, Status
from flowers_core.settings import config
from flowers_core.sources import library
from flowers_core.tuning import studies

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
Browser, Locator, Page, expect = sync_api.Browser, sync_api.Locator, sync_api.Page, sync_api.expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed (apt-get install chromium)"),
]

WAIT_MS = 45_000
TITLES = {"": "AlexNet Flowers", "photos": "Photos", "train": "Train", "tune": "Tune", "compare": "Compare trainings",
          "evaluate": "Evaluate", "classify": "Name a flower"}  # fmt: skip
LINKS = ["Home", "Photos", "Train", "Compare", "Tune", "Evaluate", "Name a flower"]
ROSE = "20200101-120000-rose-2014"
"""The run whose model takes everything for a rose."""

QUICK, FROM_SCRATCH = config.preset("quick"), config.preset("quick", "scratch")
PHONE = {"width": 390, "height": 844}
CHART = "[data-testid=stVegaLiteChart]"
TRAP = (
    "![x](http:&#47;&#47;127.0.0.1:9&#47;x)[y](http:&#47;&#47;127.0.0.1:9&#47;y)"
    "<img src='http:&#47;&#47;127.0.0.1:9&#47;z'><a href='http:&#47;&#47;127.0.0.1:9&#47;a'>b"
)
"""A folder's name that would make a viewer's browser fetch something, were it taken for Markdown or HTML."""


CUT = TRAP[: library.NAME_LENGTH]
"""As much of it as a set's name may have."""


def jpeg(kind: str, seed: int = 5, width: int = 320, height: int = 240) -> bytes:
    buffer = io.BytesIO()
    garden.draw(kind, seed, width).resize((width, height)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium, with a film of drawn flowers for a camera."""
    film = tmp_path_factory.mktemp("camera") / "flowers.mjpeg"
    film.write_bytes(b"".join(jpeg(kind, seed, 640, 480) for seed in range(3) for kind in KINDS))
    camera = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ]
    expect.set_options(timeout=WAIT_MS)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*CHROMIUM_ARGS, *camera])
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages, each in a browser context of its own: another viewer."""
    contexts = []

    def opened(**look: object) -> Page:
        context = browser.new_context(**({"viewport": {"width": 1366, "height": 1000}} | look))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    return new_page()


def add(home: Path, folder: Path) -> None:
    """Adds a set to a home, so that it comes first there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWERS_HOME", str(home))
        library.remember(folder, folder.name[: library.NAME_LENGTH])


def new_home(folder: Path) -> Path:
    """A home with a small set of photos."""
    add(folder / "home", draw_set(folder / "three kinds", {"Train": 4, "Valid": 2, "Test": 2}))
    return folder / "home"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose home has a small set of photos and one model, which takes everything for a rose."""
    home = new_home(tmp_path_factory.mktemp("browser"))
    save_model(home / "checkpoints" / "runs" / ROSE / "best.safetensors",
               dict(zip(KINDS, (0.25, 0.65, 0.1), strict=True)))  # fmt: skip
    server = Server(home)
    server.start()
    yield server
    server.end_trainings()
    server.kill()
    shutil.rmtree(home)


def settled(page: Page) -> Page:
    """The page, once its script has run to its end."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    return page


def visit(page: Page, address: str) -> Page:
    page.goto(address)
    expect(page.locator("h1")).to_be_visible()
    return settled(page)


def box(page: Page, label: str) -> Locator:
    """A select box; its value is what it shows."""
    return page.get_by_role("combobox", name=label, exact=True)


def address_says(page: Page, **query: str) -> None:
    for key, value in query.items():
        expect(page).to_have_url(re.compile(rf"[?&]{key}={re.escape(value)}(&|$)"))


def type_number(page: Page, label: str, value: int, instead_of: int) -> None:
    field = page.get_by_role("spinbutton", name=label, exact=True)
    # While the page changes, the old field may still stand beside the new one.
    until(lambda: [each.input_value() for each in field.all()] == [str(instead_of)], f"{label} to be {instead_of}")
    field.fill(str(value))
    field.press("Enter")
    settled(page)


# Cold links


@pytest.mark.parametrize("name", TITLES)
def test_a_cold_link_shows_the_page_in_its_frame(name: str, page: Page, cold_home: Path) -> None:
    server = Server(cold_home)
    server.start()
    try:
        visit(page, f"{server.url}/{name}")
        expect(page.locator("h1")).to_have_text(TITLES[name])
        expect(page.get_by_test_id("stSidebarNavLink")).to_have_text([re.compile(f"{link}$") for link in LINKS])
        assert not page.get_by_test_id("stException").count()
        maps = Path(f"/proc/{server.process.pid}/maps")
        if name == "" and maps.exists():
            assert "libtorch" not in maps.read_text(), "the first page must not pay for torch"
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("asked", "sign"),
    [("view=Problems", "Looked for and not found"), ("data=flowers102", "Oxford Flowers-102 is not here yet.")],
)
def test_a_cold_link_keeps_what_it_asks_for(asked: str, sign: str, page: Page, cold_home: Path) -> None:
    server = Server(cold_home)
    server.start()
    try:
        visit(page, f"{server.url}/photos?{asked}")
        expect(page.get_by_text(sign)).to_be_visible()
    finally:
        server.kill()


@pytest.fixture(scope="module")
def cold_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_home(tmp_path_factory.mktemp("cold"))


# Looks


@pytest.mark.parametrize("look", ["dark", "phone"])
def test_no_page_scrolls_sideways_or_breaks(look: str, server: Server, new_page: Callable[..., Page]) -> None:
    how = {"color_scheme": "dark"} if look == "dark" else {"viewport": PHONE, "has_touch": True, "is_mobile": True}
    page = new_page(**how)
    for name, title in TITLES.items():
        visit(page, f"{server.url}/{name}")
        expect(page.locator("h1")).to_have_text(title)
        if name == "evaluate":
            evaluated(page)
        assert not page.get_by_test_id("stException").count()
        too_wide = """() => [document.documentElement, document.querySelector('[data-testid=stMain]')]
                             .map(element => element.scrollWidth - element.clientWidth)"""
        assert max(page.evaluate(too_wide)) <= 0, f"/{name} scrolls sideways"
        if look == "dark":
            background = "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
            assert max(int(part) for part in re.findall(r"\d+", page.evaluate(background))[:3]) < 60


@pytest.fixture(scope="module")
def busy_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two trainings to compare, one of a single epoch and one with a long name, and a search."""
    home = new_home(tmp_path_factory.mktemp("busy"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWERS_HOME", str(home))
        (known,) = [each for each in library.known_sets() if each.name == "three kinds"]
        for number, (epochs, name) in enumerate(
            [(1, "Short"), (4, "A name that says all that was tried on Tuesday, at length")]
        ):
            training = config.preset("quick") if number else replace(config.preset("quick"), lr=0.5)
            run = runs.create(
                replace(training, data=known.data), home / "checkpoints" / "runs" / f"2020010{number}-120000-x-2014"
            )
            run.set_label(name, "")
            run.record_facts({"counts": {"train": 12, "valid": 6}, "fingerprint": "f"})
            for epoch in range(1, epochs + 1):
                run.log({"kind": "step", "step": epoch, "epoch": epoch - 0.5, "loss": 1.0, "lr": 0.01})
                run.log({"kind": "epoch", "step": epoch, "epoch": epoch, "train_loss": 1 / epoch, "train_accuracy": 0.9,
                         "valid_loss": 1.0, "valid_accuracy": 0.76 + epoch / 1000})  # fmt: skip
            run.write_status(Status(phase="finished", epoch=epochs, epochs=epochs, step=4, steps=4, best_accuracy=0.5,
                                    best_epoch=1))  # fmt: skip
        base = replace(config.preset("standard"), data=known.data)
        space = config.search_space(base)
        study = studies.create(studies.Plan(base, space, 4), "search")
        values = {name: rule.choices[0] if rule.choices else rule.low for name, rule in space.items()}
        study.write_summary(studies.Summary((studies.Trial(0, "finished", values, 0.5, 1.0, 3),), 0, {}, 6))
        study.tell("stopped")
    server = Server(home)
    server.start()
    yield server
    server.kill()
    shutil.rmtree(home)


COVERED = """() => {
    const over = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
    const bars = [...document.querySelectorAll('[data-testid=stElementToolbar]')]
        .filter(bar => getComputedStyle(bar).opacity > 0 && bar.getBoundingClientRect().width);
    const walker = document.createTreeWalker(document.querySelector('[data-testid=stMain]'), NodeFilter.SHOW_TEXT);
    const found = [];
    for (let node; (node = walker.nextNode()); ) {
        const parent = node.parentElement;
        if (!node.data.trim() || parent.closest('[data-testid=stElementToolbar], style, [aria-hidden=true]')) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        const boxes = [...range.getClientRects()].filter(box => box.width && box.height);
        const isCovered = box => bars.some(bar => over(box, bar.getBoundingClientRect()));
        if (boxes.some(isCovered)) found.push('covered: ' + node.data);
        if (parent.closest('svg') && boxes.some(box => box.right > innerWidth)) found.push('cut: ' + node.data);
    }
    return found;
}"""
"""Texts that a toolbar of a table or a chart covers, and texts of charts that the screen's edge cuts."""


@pytest.mark.parametrize("path", ["compare", "tune?study=search", "train?run=20200100-120000-x-2014", "classify"])
def test_nothing_covers_text_on_a_phone(
    path: str, busy_server: Server, server: Server, new_page: Callable[..., Page]
) -> None:
    page = new_page(viewport=PHONE, has_touch=True, is_mobile=True)
    visit(page, f"{(server if path == 'classify' else busy_server).url}/{path}")
    if path == "classify":
        page.locator("input[type=file]").first.set_input_files(
            [{"name": f"{name}.jpg", "mimeType": "image/jpeg", "buffer": content}
             for name, content in (("a", jpeg("rose")), ("b", jpeg("daffodil")), ("broken", b"no photo"))]
        )  # fmt: skip
        expect(page.get_by_test_id("stDataFrame")).to_be_visible()
        assert page.get_by_test_id("stElementToolbar").count()
    else:
        expect(page.locator("[data-testid=stTable], [data-testid=stDataFrame]").first).to_be_attached()
    settled(page)
    assert at_rest(lambda: page.evaluate(COVERED)) == []


def test_a_long_choice_is_read_in_full_on_a_phone(busy_server: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(viewport=PHONE, has_touch=True, is_mobile=True)
    visit(page, f"{busy_server.url}/train?run=20200101-120000-x-2014")
    chosen = box(page, "Training")
    expect(chosen).to_have_css("text-overflow", "ellipsis")
    chosen.click()
    option = page.get_by_role("option", name="A name that says all that was tried on Tuesday, at length")
    expect(option).to_be_visible()
    cut = "row => [row, ...row.children].some(e => e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight)"
    assert not option.evaluate(cut)
    (around,) = [each.bounding_box() for each in option.locator("> div").all()]
    assert around["height"] <= option.bounding_box()["height"]


def test_axes_of_epochs_show_whole_ones(busy_server: Server, page: Page) -> None:
    visit(page, f"{busy_server.url}/train?run=20200100-120000-x-2014")
    page.locator("summary", has_text="Learning rate").click()
    expect(page.locator(CHART)).to_have_count(3)
    expect(page.locator(CHART).nth(2).locator("svg")).to_be_visible()
    labels = ".role-axis-label text"

    def shown() -> list[list[str]]:
        return [chart.locator(labels).all_text_contents() for chart in page.locator(CHART).all()]

    for axis in at_rest(shown):
        assert axis[:2] == ["0", "1"]
    visit(page, f"{busy_server.url}/compare?compared=20200101-120000-x-2014")
    expect(page.locator(f"{CHART} svg")).to_be_visible()
    percents = [text for text in at_rest(lambda: page.locator(f"{CHART} {labels}").all_text_contents()) if "%" in text]
    assert len(percents) == len(set(percents)), "no two ticks of one name"


# Training


@pytest.fixture(scope="module")
def long_run(server: Server, browser: Browser) -> Run:
    """A training that was started through the pages, on a folder that was typed in, and lasts for hours."""
    page = browser.new_page()
    page.set_default_timeout(WAIT_MS)
    folder = draw_set(server.home.parent / "typed in", {"Train": 4, "Valid": 2, "Test": 2})
    visit(page, f"{server.url}/photos")
    page.get_by_role("button", name="Add photos").click()
    page.get_by_text("A folder here", exact=True).click()
    field = page.get_by_role("textbox", name="A folder on this computer")
    field.fill(str(folder))
    field.press("Enter")
    page.get_by_role("button", name="Add the folder").click()
    expect(box(page, "Photos")).to_have_value("typed in")
    expect(field).not_to_be_visible()
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Train").click()
    expect(box(page, "Photos")).to_have_value("typed in")
    box(page, "Start from").click()
    page.get_by_role("option", name="Nothing: random weights").click()
    page.get_by_text(config.PRESETS["quick"].title).click()
    type_number(page, "Epochs", 9000, instead_of=FROM_SCRATCH.epochs)
    type_number(page, "Batch size", 4, instead_of=FROM_SCRATCH.batch_size)
    page.get_by_role("button", name="Start training").click()
    expect(badge(page)).to_have_text("Training")
    page.close()
    (run,) = server.runs()
    assert run.config().epochs == 9000
    assert run.config().batch_size == 4
    return run


@pytest.fixture
def training(server: Server, long_run: Run, page: Page) -> Page:
    """A page that shows the long run while it trains."""
    visit(page, f"{server.url}/train?run={long_run.id}")
    if long_run.state() in ("paused", "stopped", "interrupted"):
        press(page, "Resume")
    expect(badge(page)).to_have_text("Training")
    expect(page.locator(CHART).nth(1)).to_be_visible()
    return page


def badge(page: Page) -> Locator:
    return page.locator(".stMarkdownBadge")


def step(run: Run) -> int:
    return run.status().step


def press(page: Page, name: str) -> None:
    """A button of the page itself, not of Streamlit's header."""
    page.get_by_test_id("stMain").get_by_role("button", name=name, exact=True).click()


def goes_on(run: Run) -> None:
    before = step(run)
    until(lambda: step(run) > before and run.state() == "training", "the training to go on")


def points(page: Page) -> int:
    """How many epochs the loss chart shows."""
    return page.locator(CHART).first.locator("[role=graphics-symbol][aria-roledescription=point]").count()


def test_a_reload_and_a_second_viewer_see_the_same_training(
    training: Page, server: Server, long_run: Run, new_page: Callable[..., Page]
) -> None:
    until(lambda: points(training) >= 2, "curves")
    address_says(training, run=long_run.id)
    training.reload()
    expect(badge(training)).to_have_text("Training")
    other = visit(new_page(), f"{server.url}/train")
    expect(badge(other)).to_have_text("Training")
    for viewer in (training, other):
        before = points(viewer)
        until(lambda viewer=viewer, before=before: points(viewer) > before, "the curves to grow")
    visit(other, server.url)
    other.get_by_role("link", name="Watch it learn").click()
    expect(badge(other)).to_have_text("Training")
    address_says(other, run=long_run.id)
    assert len(server.runs()) == 1


def test_the_sidebar_leads_from_anywhere_to_the_training(training: Page, long_run: Run) -> None:
    def shows_the_form() -> None:
        expect(training.get_by_role("button", name="Start training")).to_be_visible()
        expect(badge(training)).to_have_count(0)

    def shows_the_run() -> None:
        expect(badge(training)).to_have_text("Training")
        expect(training.get_by_role("button", name="Start training")).to_have_count(0)
        address_says(training, run=long_run.id)

    box(training, "Training").click()
    training.get_by_role("option", name="A new training").click()
    shows_the_form()
    training.get_by_role("button", name="A training is running").click()
    shows_the_run()
    training.go_back()
    shows_the_form()
    training.go_forward()
    shows_the_run()
    training.get_by_role("link", name="Home").click()
    training.get_by_role("link", name="A training is running").click()
    shows_the_run()


def test_charts_keep_their_zoom_and_their_place_while_data_grows(training: Page) -> None:
    chart = training.locator(CHART).first
    ticks = chart.locator("[aria-label^='X-axis'] .role-axis-label text")

    def shown() -> list[int]:
        """The epochs that label the x axis."""
        return [int(text.replace(",", "")) for text in ticks.all_text_contents()]

    assert max(shown()) >= 8000
    chart.scroll_into_view_if_needed()
    place = chart.locator("svg").bounding_box()
    training.mouse.move(place["x"] + 70, place["y"] + place["height"] / 2)

    def zoom() -> bool:
        training.keyboard.down("Control")
        training.mouse.wheel(0, -200)
        training.keyboard.up("Control")
        return max(shown()) < 2000

    unzoomed = max(shown())
    scrolled = "document.querySelector('[data-testid=stMain]').scrollTop"
    before_wheel = training.evaluate(scrolled)
    training.mouse.wheel(0, 150)
    until(lambda: training.evaluate(scrolled) != before_wheel, "the wheel alone to scroll the page")
    assert max(shown()) == unzoomed
    training.mouse.wheel(0, -150)
    until(lambda: training.evaluate(scrolled) == before_wheel, "the page to come back")
    until(zoom, "the zoom")
    zoomed = at_rest(shown)
    training.evaluate(f"document.querySelectorAll('{CHART}').forEach(chart => chart.isStillTheSame = true)")
    metric = training.get_by_test_id("stMetricValue").first
    metric.evaluate("element => element.isStillTheSame = true")
    for _ in range(3):
        before = points(training)
        until(lambda before=before: points(training) > before, "new data")
        assert shown() == zoomed
    same = f"[...document.querySelectorAll('{CHART}')].slice(0, 2).map(chart => chart.isStillTheSame === true)"
    assert training.evaluate(same) == [True, True]
    assert metric.evaluate("element => element.isStillTheSame === true")


def test_pause_and_resume(training: Page, long_run: Run) -> None:
    press(training, "Pause")
    expect(badge(training)).to_have_text("Paused")
    assert long_run.resume_path.exists()
    paused_at = step(long_run)
    training.reload()
    expect(badge(training)).to_have_text("Paused")
    assert step(long_run) == paused_at
    press(training, "Resume")
    expect(badge(training)).to_have_text("Training")
    goes_on(long_run)


def test_a_training_outlives_its_server(training: Page, server: Server, long_run: Run) -> None:
    process = long_run.status().process
    before = step(long_run)
    server.kill()
    server.start()
    visit(training, f"{server.url}/train")
    expect(badge(training)).to_have_text("Training")
    goes_on(long_run)
    assert step(long_run) > before
    assert long_run.status().process == process
    press(training, "Pause")
    expect(badge(training)).to_have_text("Paused")


def test_a_stopped_training_keeps_its_model_and_goes_on(training: Page, server: Server, long_run: Run) -> None:
    press(training, "Stop training")
    expect(badge(training)).to_have_text("Stopped")
    address_says(training, run=long_run.id)
    stopped_at = step(long_run)
    assert long_run.checkpoint_path.exists()
    assert not long_run.is_locked()
    press(training, "Resume")
    expect(badge(training)).to_have_text("Training")
    goes_on(long_run)
    assert step(long_run) > stopped_at
    assert len(server.runs()) == 1


def test_a_killed_training_is_seen_to_be_interrupted(training: Page, server: Server, long_run: Run) -> None:
    server.end_trainings()
    expect(badge(training)).to_have_text("Interrupted")
    expect(training.get_by_role("button", name="Resume")).to_be_visible()


def test_a_finished_training_leads_to_its_mistakes(page: Page, server: Server) -> None:
    visit(page, f"{server.url}/train?run=new")
    page.get_by_text(config.PRESETS["quick"].title).click()
    type_number(page, "Epochs", 2, instead_of=QUICK.epochs)
    page.get_by_role("button", name="Start training").click()
    expect(badge(page)).to_have_text("Finished")
    run = server.runs()[-1]
    address_says(page, run=run.id)
    assert run.checkpoint_path.exists()
    page.get_by_role("link", name="See its mistakes").click()
    expect(page.locator("h1")).to_have_text("Evaluate")
    address_says(page, model=run.id)
    evaluated(page)
    assert len(list((run.folder / "reports").iterdir())) == 1


# Evaluating


def evaluated(page: Page) -> Locator:
    """The confusion matrix, once the model has answered."""
    matrix = page.locator(".js-plotly-plot")
    matrix.wait_for()
    settled(page).wait_for_function("document.querySelector('.js-plotly-plot')._fullLayout?.xaxis?._offset > 0")
    return matrix


def cell(page: Page, true: int, called: int) -> tuple[float, float]:
    """Where the middle of a cell of the confusion matrix lies on the screen."""
    x, y = page.evaluate(
        """([x, y]) => { const matrix = document.querySelector('.js-plotly-plot');
                         const {xaxis, yaxis} = matrix._fullLayout, {left, top} = matrix.getBoundingClientRect();
                         return [left + xaxis._offset + xaxis.d2p(x), top + yaxis._offset + yaxis.d2p(y)] }""",
        [called, true],
    )
    return x, y


def point_at(page: Page, names: Sequence[str], true: int, called: int) -> None:
    """Moves the mouse onto a cell of the confusion matrix, and waits for the label there: before it no click counts."""
    label = page.locator(".hoverlayer .hovertext")
    asides = itertools.cycle((-1, 1))

    def labelled() -> bool:
        x, y = cell(page, true, called)
        page.mouse.move(x + next(asides), y)
        page.wait_for_timeout(100)
        return any(text.startswith(f"{names[true]}taken for {names[called]}") for text in label.all_text_contents())

    page.locator(".js-plotly-plot").scroll_into_view_if_needed()
    until(labelled, "the cell's label")


def click(page: Page) -> None:
    page.wait_for_timeout(400)  # sooner after another click, Plotly would take it for a double click
    page.mouse.down()
    page.mouse.up()


def test_a_click_on_a_cell_shows_its_photos(page: Page, server: Server) -> None:
    visit(page, f"{server.url}/evaluate?model={ROSE}")
    evaluated(page)
    opened = page.get_by_role("dialog")
    for true, kind in ((2, "sunflower"), (0, "daffodil"), (1, "rose"), (1, "rose"), (1, "rose")):
        point_at(page, KINDS, true, 1)
        click(page)
        expect(opened.get_by_role("heading")).to_have_text(f"{kind}, called {'so' if true == 1 else 'rose'}")
        expect(opened.get_by_test_id("stImage")).to_have_count(2)
        page.keyboard.press("Escape")
        expect(opened).to_have_count(0)
        expect(box(page, "Really")).to_have_value(kind)
        expect(box(page, "Called")).to_have_value("rose")
        address_says(page, true=kind)
    point_at(page, KINDS, 1, 2)
    click(page)
    expect(opened.get_by_text("There is no photo in this cell.")).to_be_visible()


def test_one_comes_back_from_a_photo_to_the_cell_that_one_looked_at(page: Page, server: Server) -> None:
    visit(page, f"{server.url}/evaluate?model={ROSE}")
    evaluated(page)
    point_at(page, KINDS, 2, 1)
    click(page)
    address_says(page, true="sunflower")
    page.get_by_role("dialog").get_by_role("link", name="Its own page").first.click()
    for back in (page.get_by_role("link", name="Back to the matrix").click, page.go_back):
        expect(page.get_by_text("squeezed to a square")).to_be_visible()
        back()
        expect(box(page, "Really")).to_have_value("sunflower")
        expect(box(page, "Called")).to_have_value("rose")
        expect(page.get_by_role("heading", name="The photos behind it")).to_be_in_viewport()
        address_says(page, model=ROSE, split="valid", true="sunflower", called="rose")
        page.get_by_role("link", name="Its own page").first.click()
    expect(page.get_by_text("squeezed to a square")).to_be_visible()
    page.get_by_test_id("stButtonGroup").first.get_by_text("Kinds", exact=True).click()
    expect(page).not_to_have_url(re.compile("called="))


def test_a_tap_on_a_cell_shows_its_photos_and_a_swipe_moves_the_page(
    new_page: Callable[..., Page], server: Server
) -> None:
    page = new_page(viewport=PHONE, has_touch=True, is_mobile=True)
    visit(page, f"{server.url}/evaluate?model={ROSE}")
    matrix = evaluated(page)
    for true, kind in ((2, "sunflower"), (0, "daffodil"), (1, "rose")):
        matrix.scroll_into_view_if_needed()
        page.wait_for_timeout(400)  # sooner after another tap, Plotly would take it for a double click
        page.touchscreen.tap(*cell(page, true, 1))
        title = f"{kind}, called {'so' if true == 1 else 'rose'}"
        expect(page.get_by_role("dialog").get_by_role("heading")).to_have_text(title)
        page.get_by_role("dialog").get_by_role("button", name="Close").click()
        expect(page.get_by_role("dialog")).to_have_count(0)

    browser, (x, y) = page.context.new_cdp_session(page), cell(page, 1, 1)
    scrolled = "document.querySelector('[data-testid=stMain]').scrollTop"
    before = page.evaluate(scrolled)
    for step in range(8):
        points = [{"x": x, "y": y + 15 * step}] if step < 7 else []
        kind = "touchStart" if not step else "touchMove" if points else "touchEnd"
        browser.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        page.wait_for_timeout(20)
    until(lambda: page.evaluate(scrolled) < before - 20, "the page to move")


# Photos


def test_the_view_that_is_shown_leads_back_to_all_kinds(page: Page, server: Server) -> None:
    views = page.get_by_test_id("stButtonGroup").first
    for tiles in (["Rosa"], ["Rosa", "train · 96×96"]):
        visit(page, f"{server.url}/photos")
        for text in tiles:
            settled(page).get_by_role("button").filter(has_text=text).first.press("Enter")
            address_says(page, kind="rose")
        expect(page).to_have_url(re.compile("photo=") if len(tiles) > 1 else re.compile("kind=rose$"))
        settled(page)
        views.get_by_text("Kinds", exact=True).click()
        expect(page.get_by_role("searchbox")).to_be_visible()
        expect(page).not_to_have_url(re.compile("kind="))
    views.get_by_text("Charts", exact=True).click()
    expect(page.get_by_role("heading", name="Photos per kind")).to_be_visible()
    address_says(page, view="Charts")
    page.go_back()
    expect(page.get_by_role("searchbox")).to_be_visible()


def test_one_comes_back_from_a_kind_to_where_one_left(new_page: Callable[..., Page], server: Server) -> None:
    page = new_page(viewport=PHONE)
    visit(page, f"{server.url}/photos")
    tile = settled(page).get_by_role("button").filter(has_text="Helianthus")
    tile.scroll_into_view_if_needed()
    scrolled = "document.querySelector('[data-testid=stMain]').scrollTop"
    before = page.evaluate(scrolled)
    assert before > 200
    tile.click()
    page.get_by_role("button", name="All kinds").click()
    tile.wait_for()
    until(lambda: page.evaluate(scrolled) == before, "the page to be where it was")


def test_a_set_that_was_chosen_stays_on_every_page_and_through_a_reload(
    page: Page, server: Server, tmp_path: Path
) -> None:
    def choose(name: str) -> str:
        """The set's id, once the address says it."""
        before = page.url
        box(page, "Photos").click()
        page.get_by_role("option", name=name, exact=True).click()
        expect(page).not_to_have_url(before)
        return parse_qs(urlsplit(page.url).query)["data"][0]

    def shows(title: str, name: str, set_id: str) -> None:
        expect(page.locator("h1")).to_have_text(title)
        expect(box(page, "Photos")).to_have_value(name)
        address_says(page, data=set_id)

    visit(page, f"{server.url}/photos")
    older = box(page, "Photos").input_value()
    add(server.home, draw_set(tmp_path / "newer", {"Train": 1, "Valid": 1}, size=32))
    settled(page).reload()
    expect(box(page, "Photos")).to_have_value("newer")
    older_id = choose(older)
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Tune").click()
    shows("Tune", older, older_id)
    settled(page).reload()
    shows("Tune", older, older_id)
    shows("Tune", "newer", choose("newer"))
    page.go_back()
    shows("Tune", older, older_id)
    page.go_back()
    shows("Photos", older, older_id)


def test_a_click_on_the_map_opens_the_photo_below_it(page: Page, server: Server) -> None:
    visit(page, f"{server.url}/photos?view=Map")
    point = page.locator(".scatterlayer .trace").nth(KINDS.index("rose")).locator(".points path").first
    point.scroll_into_view_if_needed()
    around = at_rest(point.bounding_box)
    page.mouse.move(around["x"] + around["width"] / 2, around["y"] + around["height"] / 2, steps=3)
    expect(page.locator(".hoverlayer .hovertext")).to_contain_text("rose")
    click(page)
    address_says(page, kind="rose")
    expect(page.get_by_text(re.compile(r"^(Train|Valid|Test)/rose/\d\.jpg$"))).to_be_visible()


def test_a_copy_is_found_excluded_and_brought_back(page: Page, server: Server, tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "copied", {"Train": 2, "Valid": 1})
    shutil.copy(folder / "Train/rose/1.jpg", folder / "Valid/rose/again.jpg")
    add(server.home, folder)
    visit(page, f"{server.url}/photos?view=Problems")
    warning = page.get_by_text("1 of them lies in more than one split")
    expect(warning).to_be_visible()
    exclude = page.get_by_role("button", name="Exclude", exact=True)
    expect(exclude).to_have_count(2)  # they come one by one, after the warning
    exclude.last.click()
    expect(warning).to_have_count(0)
    expect(page.get_by_text("Valid/rose/again.jpg: excluded. The files themselves")).to_be_visible()
    expect(page.get_by_text("3 valid · ")).to_be_visible()
    assert (folder / "Valid/rose/again.jpg").exists()
    page.get_by_role("button", name="Undo", exact=True).first.click()
    expect(warning).to_be_visible()
    expect(page.get_by_text("4 valid · ")).to_be_visible()


# Naming


def test_an_uploaded_photo_gets_five_names_at_most(page: Page, server: Server, tmp_path: Path) -> None:
    visit(page, f"{server.url}/classify?model={ROSE}")
    photo = tmp_path / "mine.jpg"
    photo.write_bytes(jpeg("sunflower"))
    page.locator("input[type=file]").set_input_files(photo)
    expect(page.get_by_role("heading", name="rose")).to_be_visible()
    expect(page.get_by_test_id("stProgress")).to_have_text(
        [re.compile("rose: 6.*%"), re.compile("daffodil: 2.*%"), re.compile("sunflower: .*%")]
    )


def test_a_name_is_said_aloud(page: Page, server: Server) -> None:
    page.add_init_script(
        """window.heard = [];
        window.SpeechSynthesisUtterance = function (text) { this.text = text; };
        window.speechSynthesis.speak = (words) => window.heard.push([words.text, words.lang]);"""
    )
    visit(page, f"{server.url}/classify?model={ROSE}")
    photo = {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": jpeg("sunflower")}
    page.locator("input[type=file]").set_input_files([photo])
    page.get_by_role("button", name="Hear it: rose").click()
    assert page.evaluate("window.heard") == [["rose", "en"]]


def test_the_camera_sees_a_flower(page: Page, server: Server) -> None:
    visit(page, f"{server.url}/classify?model={ROSE}")
    page.get_by_text("The camera", exact=True).click()
    page.wait_for_function("() => document.querySelector('video')?.currentTime > 0.5")  # its first frames are black
    page.get_by_role("button", name="Take Photo").click()
    expect(page.get_by_role("heading", name="rose")).to_be_visible()
    expect(page.get_by_test_id("stProgress")).to_have_count(3)
    expect(page.get_by_text(re.compile("camera.*jpg"))).to_have_count(0)
    shown = page.get_by_test_id("stImage").locator("img").first
    picture = Image.open(io.BytesIO(page.request.get(shown.evaluate("image => image.src")).body())).convert("RGB")
    assert max(high - low for low, high in picture.getextrema()) > 60, "a flower, not a black frame"
    page.get_by_text("Moved and turned", exact=True).click()
    expect(page.get_by_text("Still rose")).to_be_visible()
    turned = page.get_by_alt_text("The photo as changed")
    before = turned.get_attribute("src")
    page.get_by_role("slider", name="Turned").press("ArrowRight")
    expect(turned).not_to_have_attribute("src", before)
    page.get_by_text("A photo", exact=True).click()
    page.locator("input[type=file]").set_input_files(
        [{"name": f"{kind}.jpg", "mimeType": "image/jpeg", "buffer": jpeg(kind)} for kind in KINDS]
    )
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download as CSV", exact=True).click()
    rows = list(csv.DictReader(Path(waiting.value.path()).read_text("utf-8-sig").splitlines()))
    assert [(row["file"], row["guess 1"]) for row in rows] == [(f"{kind}.jpg", "rose") for kind in KINDS]


# Names that others chose


def test_names_of_folders_and_files_are_never_markdown_or_html(page: Page, tmp_path: Path) -> None:
    server = Server(tmp_path / "home")
    known = draw_set(tmp_path / "known" / TRAP, {"Train": 2, "Valid": 1}, ("rose", "sunflower"), 32)
    unknown = draw_set(tmp_path / "unknown" / TRAP, {"Train": 1, "Valid": 1}, ("rose", "sunflower"), 32)
    for split in ("Train", "Valid"):
        (known / split / "sunflower").rename(known / split / TRAP)
        (known / split / TRAP / "1.jpg").rename(known / split / TRAP / f"{TRAP}.jpg")
        (known / split / TRAP / f"{TRAP}.txt").touch()
    (unknown / "Valid" / "sunflower").rename(unknown / "Valid" / f"new {TRAP}")
    for folder in (unknown, known):
        add(server.home, folder)
    save_model(server.home / "checkpoints" / "runs" / "trap" / "best.safetensors", {TRAP: 0.9, "rose": 0.1})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if urlsplit(request.url).port == 9 else None)

    def shows_it_as_text(where: Locator | None = None) -> None:
        expect((where or page.get_by_text(TRAP)).first).to_be_visible()
        settled(page)
        assert not page.get_by_test_id("stException").count()
        for fetched in ("a[href*='127.0.0.1:9']", "img[src*='127.0.0.1:9']", "[*|href*='127.0.0.1:9']"):
            assert not page.locator(fetched).count(), fetched
        assert not asked

    try:
        server.start()
        visit(page, f"{server.url}/photos")
        assert box(page, "Photos").input_value() == CUT
        shows_it_as_text()
        page.get_by_role("button").filter(has_text=TRAP).click()
        shows_it_as_text(page.get_by_role("heading", name=TRAP))
        for view in ("Varying the photos", "Problems", "Sizes and shapes"):
            visit(page, f"{server.url}/photos?view={view}")
            shows_it_as_text(page.get_by_text(" left out (see Problems)"))
        visit(page, f"{server.url}/classify?model=trap")
        page.locator("input[type=file]").set_input_files(known / "Train" / TRAP / f"{TRAP}.jpg")
        shows_it_as_text(page.get_by_role("heading", name=TRAP))
        visit(page, f"{server.url}/evaluate")
        shows_it_as_text(evaluated(page))
        point_at(page, (TRAP, "rose"), 0, 0)
        shows_it_as_text(page.locator(".hoverlayer .hovertext"))
        box(page, "Photos").click()
        page.get_by_role("option", name=f"{CUT} (2)").click()
        shows_it_as_text(page.get_by_text("This model doesn't know these kinds"))
        visit(page, f"{server.url}/train")
        shows_it_as_text(page.get_by_role("button", name="Start training"))
        box(page, "Photos").click()
        page.get_by_role("option", name=f"{CUT} (2)").click()
        shows_it_as_text(page.get_by_text("These kinds have no training photos"))
        visit(page, server.url)
        shows_it_as_text(page.get_by_text(CUT))
    finally:
        server.kill()
        shutil.rmtree(server.home)


# Ways in


def zip_of(path: Path, photo: bytes, each: int) -> Path:
    """A zip with `each` copies of a photo in two kinds, told apart by a byte behind their end."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for n in range(2 * each):
            archive.writestr(f"{path.stem}/{('rose', 'tulip')[n % 2]}/{n}.jpg", photo + n.to_bytes(4, "big"))
    return path


def test_a_zip_import_goes_on_behind_the_page_and_can_be_cancelled(page: Page, server: Server, tmp_path: Path) -> None:
    slow = io.BytesIO()  # few bytes to upload that take long to decode: the import is cancelled before it is over
    Image.new("RGB", (4000, 3000), "orchid").save(slow, "PNG")
    large = zip_of(tmp_path / "large meadow.zip", slow.getvalue(), 300)
    small = zip_of(tmp_path / "small meadow.zip", jpeg("rose", 2), 4)

    def add_zip(path: Path) -> None:
        page.get_by_role("button", name="Add photos").click()
        page.locator("input[type=file]").set_input_files(path)
        page.get_by_role("button", name="Add the zip").click()
        expect(page.get_by_text(f"Import: {path.name}")).to_be_visible()

    visit(page, f"{server.url}/photos")
    shown = box(page, "Photos").input_value()
    add_zip(large)
    expect(page.get_by_text(re.compile(r"(Unpacking|Reading) the photos: [\d,]+ of 600"))).to_be_visible()
    page.get_by_role("link", name="Home").click()  # another page does it no harm
    expect(page.locator("h1")).to_have_text(TITLES[""])
    page.get_by_role("link", name="Photos", exact=True).click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled. Nothing of it was kept.")).to_be_visible()
    expect(box(page, "Photos")).to_have_value(shown)
    assert not list((server.home / "data/sets").rglob("*.jpg")), "nothing half unpacked stays"
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_text("Import:")).to_have_count(0)
    add_zip(small)
    expect(box(page, "Photos")).to_have_value("small meadow")
    expect(page.get_by_text("Import:")).to_have_count(0)
