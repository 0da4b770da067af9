"""How the app holds up with very many photos: indexing, opening again, finding problems, excluding a photo, clicks.

    python -m benchmarks.scale --photos 100000 --distinct --clicks

Draws a few hundred flowers and puts each under many names: as hard links, so that all copies have one content, or
with --distinct as files that differ in a few bytes behind the JPEG's end, so that every one is decoded.
Prints one JSON object; "anonymous_mb" is memory of the process itself, without the mapped cache files. Clicks are made
in Chromium (needs requirements-dev.txt) and last until nothing more is painted, and once more without a browser; the
first of each kind may have to work something out, and counts by itself.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from flowers_core import garden
from flowers_core.species import SPECIES
from flowers_core.storage import REPOSITORY

SPLITS = {"Train": 0.8, "Valid": 0.1, "Test": 0.1}


def plant(root: Path, photos: int, drawn: int, distinct: bool) -> None:
    """Writes root/<split>/<kind>/<n>.jpg, `photos` files made of `drawn` pictures."""
    seeds = max(1, drawn // len(SPECIES))
    per_kind = photos // len(SPECIES)
    for kind in SPECIES:
        originals = []
        for seed in range(seeds):
            path = root / "originals" / f"{kind.name}-{seed}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            garden.draw(kind.name, seed).save(path, quality=90)
            originals.append(path)
        number = 0
        for split, share in SPLITS.items():
            folder = root / "set" / split / kind.name
            folder.mkdir(parents=True)
            for _ in range(round(share * per_kind)):
                original, path = originals[number % seeds], folder / f"{kind.name}-{number:05}.jpg"
                if distinct:
                    path.write_bytes(original.read_bytes() + number.to_bytes(4))
                else:
                    os.link(original, path)
                number += 1


MEASURE = """
import json, sys, time
started = time.perf_counter()
from flowers_core.photos.cache import decode_source
from flowers_core.sources import open_source
imported = time.perf_counter()
steps = []
cpu = time.process_time()
source = open_source(sys.argv[1])
listed = time.perf_counter()
decoded = decode_source(source, lambda what, done, total: steps.append(done))
opened, spent = time.perf_counter(), time.process_time() - cpu
from flowers_core.photos import problems
from flowers_core.photos.cache import edited


def clicked(work):
    started = time.perf_counter()
    result = work()
    return round(time.perf_counter() - started, 3), result


looked, _ = clicked(lambda: problems.find(decoded))
change = tuple(problems.edits_for(decoded, [len(decoded.entries) // 2], "exclude"))
excluded, after = clicked(lambda: edited(decoded.original, change))
listed_again, _ = clicked(lambda: (problems.find(after), after.counts, after.fingerprint))
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(json.dumps({
    "photos": len(decoded.entries), "rows": len(decoded.pixels), "seconds": round(opened - imported, 2),
    "cpu_seconds": round(spent, 2), "listing_seconds": round(listed - imported, 2),
    "progress_steps": len(steps), "problems_seconds": looked, "exclude_seconds": excluded,
    "problems_again_seconds": listed_again,
    "anonymous_mb": int(status["RssAnon"].split()[0]) // 1024, "peak_mb": int(status["VmHWM"].split()[0]) // 1024,
}))
"""


def opened(root: Path, home: Path) -> dict:
    """Opens the set in a process of its own."""
    environment = {**os.environ, "FLOWERS_HOME": str(home), "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", MEASURE, str(root / "set")]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


SCRIPT = """
import json, statistics, sys, time
import tiles
from streamlit.testing.v1 import AppTest

app = AppTest.from_file(sys.argv[1], default_timeout=600).run()
found = {}


def timed(what, click):
    started = time.perf_counter()
    click()
    found.setdefault(what, []).append((time.perf_counter() - started) * 1000)


def press(label):
    next(button for button in app.button if button.label == label).click().run()


for name in sys.argv[2:]:
    timed("open a kind", lambda: tiles.click(app, title=name))
    timed("open a photo", lambda: tiles.click(app))
    for what, label in (("next photo", "Next"), ("back to the kind", "Back"), ("back to all kinds", "All kinds")):
        timed(what, lambda: press(label))
    assert not app.exception
print(json.dumps({what: [round(times[0]), round(statistics.median(times[1:]))] for what, times in found.items()}))
"""


def script_runs(home: Path) -> dict:
    """Milliseconds that the Photos page's script takes for clicks, the first and the median of the next: what a server
    adds to the time of a viewer's browser."""
    environment = {**os.environ, "FLOWERS_HOME": str(home), "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}"}
    command = [sys.executable, "-c", SCRIPT, str(REPOSITORY / "pages/photos.py"), *(kind.name for kind in SPECIES[:6])]
    answer = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(answer.stdout)


def remember(root: Path, home: Path) -> None:
    """Adds the set to the app."""
    os.environ["FLOWERS_HOME"] = str(home)
    from flowers_core.sources import library

    library.remember(root / "set", "very many")


WATCH = """() => {
    window.clicked = Infinity;
    window.lasted = 0;
    const painted = () => { window.lasted = Math.max(window.lasted, performance.now() - window.clicked); };
    const all = { subtree: true, childList: true, attributes: true, characterData: true };
    const observe = (root) => {
        if (root.watch) return;
        root.addEventListener("load", painted, { capture: true });
        root.watch = new MutationObserver(() => { observeGrids(); requestAnimationFrame(() => setTimeout(painted)); });
        root.watch.observe(root, all);
    };
    const observeGrids = () => {
        document.querySelectorAll("*").forEach((each) => { if (each.shadowRoot) observe(each.shadowRoot); });
    };
    if (!window.watched) {
        window.watched = true;
        document.addEventListener("click", () => { window.clicked = performance.now(); }, { capture: true });
    }
    observe(document.querySelector("[data-testid=stMain]"));
    observeGrids();
}"""
"""Has a page tell in `lasted` how many milliseconds after the next click it was painted for the last time."""

AT_REST_MS = 700
"""After the script has ended, by when nothing is painted any more."""


def clicks(home: Path) -> dict:
    """Milliseconds from clicks on the Photos page until all is painted, the first and the median of the next, and the
    server's memory."""
    sys.path.insert(0, str(REPOSITORY / "tests"))
    from browser_app import CHROMIUM, CHROMIUM_ARGS, Server
    from playwright.sync_api import Locator, sync_playwright

    server, found = Server(home), {}
    server.start()
    try:
        with sync_playwright() as playwright:
            page = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS).new_page()

            def shown(sign: Locator) -> None:
                sign.first.wait_for(timeout=600_000)
                page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=600_000)
                page.wait_for_timeout(AT_REST_MS)

            def timed(what: str, click: Callable[[], object], sign: Locator) -> None:
                page.evaluate(WATCH)
                click()
                shown(sign)
                found.setdefault(what, []).append(page.evaluate("window.lasted"))

            def button(name: str) -> Locator:
                return page.get_by_test_id("stMain").get_by_role("button", name=name, exact=True).first

            def tile(text: str) -> Locator:
                return page.get_by_test_id("stMain").get_by_role("button").filter(has_text=text).first

            search = page.get_by_role("searchbox")
            signs = {
                "Charts": page.get_by_role("heading", name="Photos per kind"),
                "Map": button("Let the network look").or_(page.locator(".js-plotly-plot")),
                "Varying the photos": button("Shuffle"),
                "Problems": button("Exclude"),
                "Kinds": search,
            }
            page.goto(f"{server.url}/photos")
            shown(search)
            for name in [kind.name for kind in SPECIES[:6]]:
                timed("open a kind", tile(name).click, page.get_by_role("heading", name=name, exact=True))
                second = page.locator("[aria-label='Page 2'][aria-current=page]")
                timed("leaf to the next photos", button("Next page").click, second)
                timed("open a photo", tile("×").click, button("Back"))
                timed("back to the kind", button("Back").click, button("All kinds"))
                timed("back to all kinds", button("All kinds").click, search)
            for _ in range(3):
                for name, sign in signs.items():
                    timed(f"view {name}", page.get_by_text(name, exact=True).first.click, sign)
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        anonymous = next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("RssAnon"))
    finally:
        server.kill()
    rounded = {what: [round(times[0]), round(statistics.median(times[1:] or times))] for what, times in found.items()}
    return {"first_and_usual_ms": rounded, "server_anonymous_mb": anonymous}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--drawn", type=int, default=300, help="pictures to draw (default: 300)")
    parser.add_argument("--distinct", action="store_true", help="every file has a content of its own")
    parser.add_argument("--clicks", action="store_true", help="also click through the Photos page")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work here, and leave everything there")
    options = parser.parse_args()
    place = options.keep or Path(tempfile.mkdtemp(prefix="flowers-scale-"))
    try:
        started = time.perf_counter()
        if not (place / "set").exists():
            plant(place, options.photos, options.drawn, options.distinct)
        planted = time.perf_counter() - started
        result = {"planting_seconds": round(planted, 1), "first": opened(place, place / "home")}
        result["again"] = [opened(place, place / "home") for _ in range(3)]
        if options.clicks:
            remember(place, place / "home")
            result["script_ms"] = script_runs(place / "home")
            result["clicks"] = clicks(place / "home")
        print(json.dumps(result, indent=1))
    finally:
        if not options.keep:
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
