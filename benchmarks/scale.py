"""How the app holds up with very many photos: indexing, opening again, finding problems, and excluding a photo.

    python benchmarks/scale.py --photos 100000 --distinct

Draws a few hundred flowers and puts each under many names: as hard links, so that all copies have one content, or
with --distinct as files that differ in a few bytes behind the JPEG's end, so that every one is decoded.
Prints one JSON object; "anonymous_mb" is memory of the process itself, without the mapped cache files.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from flowers_core import garden  # noqa: E402
from flowers_core.species import SPECIES  # noqa: E402

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
from flowers_core.cache import decode_source
from flowers_core.sources import open_source
imported = time.perf_counter()
steps = []
cpu = time.process_time()
source = open_source(sys.argv[1])
listed = time.perf_counter()
decoded = decode_source(source, lambda what, done, total: steps.append(done))
opened, spent = time.perf_counter(), time.process_time() - cpu
from flowers_core import problems
from flowers_core.cache import edited


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
    environment = {**os.environ, "FLOWERS_HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", MEASURE, str(root / "set")]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--drawn", type=int, default=300, help="pictures to draw (default: 300)")
    parser.add_argument("--distinct", action="store_true", help="every file has a content of its own")
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
        print(json.dumps(result, indent=1))
    finally:
        if not options.keep:
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
