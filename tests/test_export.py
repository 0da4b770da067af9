"""Exported models answer as the app does: in ONNX Runtime, in plain PyTorch, and in a browser without a network."""

import functools
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from browser_app import CHROMIUM, CHROMIUM_ARGS
from PIL import Image
from safetensors import safe_open
from streamlit.testing.v1 import AppTest
from test_sureness import SAID

from flowers_core import export, garden
from flowers_core.__main__ import main
from flowers_core.evaluation.predict import Classifier
from flowers_core.export import about, check, html_file, layers, shrink
from flowers_core.images import to_square
from flowers_core.images.augment import EvalTransform
from flowers_core.machine import precision
from flowers_core.network import alexnet, checkpoint, int8, mahalanobis, sureness

HOSTILE = "</script><img src=x onerror=\"document.title='taken'\">'&amp;`${1}"
CLASSES = ("sunflower", "rose", HOSTILE, "glockenblume ✿", "/*weights*/", "lotus", "daffodil")
NEAR = 0.003
"""What a probability may differ by where weights are kept as they are (float16)."""

SHRUNK = 0.02
"""The same where weights are rounded to one byte."""


@pytest.fixture(autouse=True)
def _small_and_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks with few hidden units; answers of the app in full precision; few pictures to compare on."""
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    monkeypatch.setattr(precision, "choose", lambda request, device: "float32")
    monkeypatch.setattr(int8, "is_faster", lambda number_format: False)
    monkeypatch.setattr(check, "MOST_PICTURES", 6)


LOGIT_WEIGHT = 3000.0
"""Makes what logits say of a picture as loud as the distances that convolutions without training give."""


def save(path: Path, variant: str = "2014", rejection: dict | None = None, **transform: object) -> Path:
    """A checkpoint that tells pictures apart: random weights that keep the size of what passes through them.

    Without another `rejection` it knows where its kinds lie, and takes about half of all pictures for one.
    """
    torch.manual_seed(3)
    network = alexnet.build(variant, len(CLASSES))
    for weight in (p for p in network.parameters() if p.ndim > 1):
        torch.nn.init.kaiming_normal_(weight)
    prepared = EvalTransform(**transform)
    with torch.no_grad():  # logits a few units apart, as a trained network has them
        noise = (torch.rand(4, 3, prepared.size, prepared.size) - 0.5) / prepared.std[0]
        network.classifier[-1].weight *= 2 / network.eval()(noise).std()
        network.add_reader()  # as tall a voice as the first one's
        summary = network.fc_logits_and_summary(noise)[1]
        network.reader.weight.normal_()
        network.reader.weight *= 2 / network.reader(summary).std()
        network.reader.bias.zero_()
        space = mahalanobis.fit(
            mahalanobis.columns(summary.repeat(7, 1).numpy() * np.random.default_rng(0).uniform(0.8, 1.2, (28, 1)),
                               network.summary_filters), np.arange(28) % len(CLASSES), len(CLASSES),
        )  # fmt: skip
    card = checkpoint.Card(
        variant, CLASSES, asdict(prepared), data={"data": "drawn", "counts": {"train": 7}},
        results={"valid_accuracy": 0.5, "valid_n": 4}, temperature=2.0,
        rejection=rejection or {"score": "kinds", "threshold": 0.0, "logit_weight": LOGIT_WEIGHT, "energy": 0.0},
    )  # fmt: skip
    checkpoint.save(path, checkpoint.with_kinds(checkpoint.shrink(network), None if rejection else space), card)
    if not rejection:
        classifier = Classifier(path)
        images = pictures()
        squares, aspects = (
            np.stack([to_square(image) for image in images]),
            np.array([i.width / i.height for i in images]),
        )
        silent, spoken = (mahalanobis_scores(classifier, squares, aspects, weight) for weight in (0.0, LOGIT_WEIGHT))
        threshold = float(np.sort(spoken)[:2].mean())  # all but one picture show a kind, if the logits are asked
        assert silent[0] < threshold < spoken[0]
        limit = card.rejection | {"threshold": threshold}
        checkpoint.save(path, checkpoint.with_kinds(checkpoint.shrink(network), space), replace(card, rejection=limit))
    return path


def pictures() -> list[Image.Image]:
    """Upright, wide, tall, larger than the decoder keeps."""
    shapes = [(300, 256), (900, 260), (200, 640), (1700, 1300)]
    return [garden.draw("rose", seed, 256).resize(shape) for seed, shape in enumerate(shapes)]


def mahalanobis_scores(
    classifier: Classifier, squares: np.ndarray, aspects: np.ndarray, logit_weight: float
) -> np.ndarray:
    logits, summaries = classifier.see(squares, aspects)
    columns = mahalanobis.columns(summaries, classifier.network.summary_filters)
    return classifier.network.mahalanobis.scores(columns, logits.mean(1), logit_weight)


def app_knows(path: Path, images: list[Image.Image]) -> list[bool]:
    return [Classifier(path).classify(image).known for image in images]


def app_answers(path: Path, images: list[Image.Image]) -> np.ndarray:
    """(n, classes) probabilities by the app's one path."""
    classifier = Classifier(path)
    answers = [dict(classifier.classify(image, top=len(CLASSES)).top) for image in images]
    return np.array([[answer[name] for name in CLASSES] for answer in answers])


@pytest.mark.parametrize(
    ("variant", "transform"),
    [("2012", {"std": (1 / 255,) * 3}), ("2014", {"views": "ten", "size": 127}), ("readme", {"window": 1.4})],
)
def test_onnx_takes_squared_photos_and_answers_like_the_app(tmp_path: Path, variant: str, transform: dict) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    path = save(tmp_path / "best.safetensors", variant, **transform)
    export.export(path, "onnx", tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    images = pictures()
    squares = np.stack([np.asarray(image.resize((256, 256), Image.Resampling.BICUBIC)) for image in images[:3]])
    aspects = np.array([image.width / image.height for image in images[:3]], np.float32)
    wanted = app_answers(path, images[:3])
    assert np.ptp(wanted, axis=0).max() > 5 * NEAR, "the pictures get the same answer: they would prove nothing"
    answers, known = session.run(None, {"photos": squares, "aspects": aspects})
    np.testing.assert_allclose(answers, wanted, atol=NEAR)
    assert known.tolist() == app_knows(path, images[:3])
    alone, _ = session.run(None, {"photos": squares[1:2], "aspects": aspects[1:2]})
    np.testing.assert_allclose(alone, answers[1:2], atol=1e-5)
    properties = session.get_modelmeta().custom_metadata_map
    assert json.loads(properties["classes"]) == list(CLASSES)
    assert json.loads(properties["transform"])["size"] == transform.get("size", 224)
    assert json.loads(properties["card"])["data"]["counts"] == {"train": 7}


def test_the_example_beside_the_weights_needs_nothing_of_this_program(tmp_path: Path) -> None:
    path = save(tmp_path / "best.safetensors", "2012")
    made = export.export(path, "safetensors", tmp_path / "my flowers.zip")
    with zipfile.ZipFile(made.files[0]) as archive:
        archive.extractall(tmp_path / "away")
    (photo,) = pictures()[:1]
    photo.save(tmp_path / "away" / "photo.png")
    (tmp_path / "away" / "pixels").write_bytes(photo.tobytes())
    code = (
        "import sys, json, runpy, torch\n"
        "sys.modules.update(dict.fromkeys(['flowers_core', 'PIL', 'torchvision']))\n"  # None can't be imported
        "model = runpy.run_path('my flowers.py')['Model']('my flowers.safetensors')\n"
        "pixels = torch.frombuffer(bytearray(open('pixels', 'rb').read()), dtype=torch.uint8)\n"
        f"print(json.dumps(model.answer(pixels.view({photo.height}, {photo.width}, 3), top=7)))"
    )
    run = functools.partial(
        subprocess.run, cwd=tmp_path / "away", capture_output=True, text=True, encoding="utf-8", timeout=120,
        env={"PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    answer = run([sys.executable, "-c", code])
    assert answer.returncode == 0, answer.stderr
    guesses, known = json.loads(answer.stdout)
    told = dict(guesses)
    assert [known] == app_knows(path, [photo])
    np.testing.assert_allclose([told[name] for name in CLASSES], app_answers(path, [photo])[0], atol=NEAR)
    printed = run([sys.executable, "my flowers.py", "photo.png"])
    said = "" if known else "none of the kinds; nearest:"
    assert f"photo.png {said} {max(told, key=told.get)}" in printed.stdout, printed.stderr


def test_exported_weights_are_a_checkpoint_that_says_the_same(tmp_path: Path) -> None:
    path = save(tmp_path / "best.safetensors")
    made = export.export(path, "safetensors", tmp_path / "again.safetensors")
    assert [file.name for file in made.files] == ["again.safetensors", "again.py"]
    assert all(file.exists() for file in made.files)
    network, card = checkpoint.load(tmp_path / "again.safetensors")
    original, told = checkpoint.load(path)
    assert card == told
    assert all(map(torch.equal, network.state_dict().values(), original.state_dict().values()))
    with safe_open(tmp_path / "again.safetensors", "np") as file:
        said = json.loads(file.metadata()["about"])
    assert said["latin"][:2] == ["Helianthus annuus", "Rosa"]
    assert said["latin"][2] is None
    assert len(said["views"]) == 6


def test_a_pair_of_thin_layers_is_exported_as_it_is() -> None:
    torch.manual_seed(0)
    network = alexnet.build("2014", 3).eval()
    network.classifier[4] = torch.nn.Sequential(torch.nn.Linear(64, 5, bias=False), torch.nn.Linear(5, 64))
    found = layers.read(network)
    assert [layer.name for layer in found if layer.op == "linear"][1:3] == ["classifier.4.0", "classifier.4.1"]
    images = torch.randn(2, 3, 127, 127)
    with torch.inference_mode():
        torch.testing.assert_close(layers.answer(found, images), network(images))


def test_a_rejection_that_pages_can_not_compute_is_left_out(tmp_path: Path) -> None:
    card = checkpoint.read_card(save(tmp_path / "a.safetensors"))
    assert about.rejection(card)["score"] == "kinds"
    assert about.rejection(replace(card, rejection={})) is None
    rejection = {"score": "energy", "threshold": 0.4}
    assert about.rejection(replace(card, rejection=rejection)) == rejection
    assert about.rejection(replace(card, rejection={"score": "mood", "threshold": 1})) is None


def test_layers_of_low_rank_become_thin_and_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shrink, "MOST_RANK", 40)
    rng = np.random.default_rng(0)
    one, other = (rng.normal(size=shape).astype(np.float32) for shape in ((140, 20), (20, 130)))
    bias = np.ones(140, np.float32)
    low = layers.Layer("linear", "low", {}, one @ other, bias)
    full = layers.Layer("linear", "full", {}, rng.normal(size=(140, 140)).astype(np.float32), bias)
    down, up = shrink._thinned(low)
    assert down.weight.shape == (20, 130)
    np.testing.assert_allclose(up.weight @ down.weight, low.weight, atol=0.01)
    assert up.bias is bias
    assert shrink._thinned(full) == [full]


def test_weights_get_coarser_until_they_fit() -> None:
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape).astype(np.float32) for shape in ((1200, 1200), (1200, 1200), (10, 1200))]
    stack = [layers.Layer("linear", str(i), {}, w, np.zeros(len(w), np.float32)) for i, w in enumerate(weights)]
    sizes, errors = [], []
    for budget in (2_400_000, 1_500_000, 1_000_000, 650_000):
        small, coded = shrink.fit(stack, budget)
        sizes.append(len(shrink.pack(b"".join(one.codes.tobytes() for one in coded.values()))))
        errors.append(float(np.abs(small[0].weight - stack[0].weight).max()))
        assert sizes[-1] <= budget
        np.testing.assert_allclose(small[2].weight, stack[2].weight, atol=0.03)  # the output keeps its precision
    assert errors == sorted(errors)
    assert errors[0] < 0.03


def test_a_page_that_answers_otherwise_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    path = save(tmp_path / "best.safetensors", views="centre")
    monkeypatch.setattr("flowers_core.export.shrink.fit", functools.partial(_spoil, shrink.fit))
    assert main(["export", str(path), "--format", "html", "--out", str(tmp_path / "page.html"), "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["difference"]["changed"] > 0
    assert "names" in err
    assert told["warning"] in err
    assert f"of {told['difference']['n']} drawn flowers" in (tmp_path / "page.html").read_text(encoding="utf-8")


def _spoil(fit, stack: list, budget: int) -> tuple:
    """Shrinking gone wrong: both readers' outputs with their sign turned."""
    small, coded = fit(stack, budget)
    last = ("classifier.6", "reader")
    return [replace(s, weight=-s.weight, bias=-s.bias) if s.name in last else s for s in small], coded


@pytest.mark.parametrize(
    ("format", "out", "says"),
    [
        ("tflite", "new", "There is no such format: tflite. Choose one of html, onnx, safetensors."),
        ("onnx", "there", "There is already such a file"),
        ("html", "no/folder/x.html", "There is no such folder"),
        ("onnx", ".", "This is a folder"),
        ("safetensors", "new.py", "This is no name for weights"),
        ("safetensors", "rose.v2", "Let it end in .safetensors"),
        ("html", "new", "cut off or damaged"),
    ],
)
def test_what_cannot_be_exported_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture, format: str, out: str, says: str
) -> None:
    path = save(tmp_path / "best.safetensors")
    (tmp_path / "there").write_text("precious")
    if says.startswith("cut"):
        path.write_bytes(path.read_bytes()[:-1000])
    assert main(["export", str(path), "--format", format, "--out", str(tmp_path / out)]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["best.safetensors", "there"]
    assert (tmp_path / "there").read_text() == "precious"


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Chromium, or the test is skipped."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium is installed (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def asked(page, name: str, content: bytes) -> dict[str, float]:
    """What the page answers to a file: its guesses, best first."""
    page.evaluate("document.getElementById('answer').hidden = true")
    page.set_input_files("#file", {"name": name, "mimeType": f"image/{name.split('.')[1]}", "buffer": content})
    page.wait_for_selector("#answer:not([hidden]), #error:not([hidden])")
    read = "rows => rows.map((row) => [row.dataset.kind, row.dataset.probability])"
    rows = page.eval_on_selector_all("#guesses li", read)
    return {kind: float(probability) for kind, probability in rows}


@pytest.mark.browser
@pytest.mark.parametrize(
    ("variant", "engine", "transform"),
    [("2012", "WebAssembly", {"std": (1 / 255,) * 3}), ("readme", "JavaScript", {"size": 127, "views": "centre"})],
)
def test_the_page_from_disk_answers_like_the_app_without_a_network(
    browser, tmp_path: Path, variant: str, engine: str, transform: dict
) -> None:
    path = save(tmp_path / "best.safetensors", variant, **transform)
    export.export(path, "html", tmp_path / "page.html")
    turned = Image.Exif()
    turned[0x0112] = 6  # as a phone held upright marks its photos
    upright, wide, tall, large = pictures()
    glass = upright.convert("RGBA")
    glass.putalpha(Image.linear_gradient("L").resize(glass.size))
    files = {
        "turned.jpeg": encoded(upright, "JPEG", quality=95, exif=turned),
        "glass.png": encoded(glass, "PNG"),
        "wide.webp": encoded(wide, "WEBP", lossless=True),
        "large.png": encoded(large, "PNG"),
        "tall.jpeg": encoded(tall, "JPEG", quality=95, subsampling=0),
    }
    classifier = Classifier(path)
    context = browser.new_context(offline=True, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.set_default_timeout(60_000)
    requests, errors = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri() + ("#plain" if engine == "JavaScript" else ""))
    for name, content in list(files.items())[: 5 if engine == "WebAssembly" else 2]:
        said = classifier.classify_file(content, name, top=5)
        wanted = dict(said.top)
        answer = asked(page, name, content)
        assert page.get_attribute("#answer", "data-unknown") == ("false" if said.known else "true"), name
        assert next(iter(answer)) == next(iter(wanted)), name
        for kind in answer.keys() & wanted.keys():
            assert answer[kind] == pytest.approx(wanted[kind], abs=SHRUNK), (name, kind)
    assert page.get_attribute("html", "data-engine") == engine
    assert "50% of 4 validation photos" in page.text_content("#facts")
    assert page.locator("#kinds li").all_text_contents()[2].lower() == HOSTILE.lower()
    assert page.title() == "Name a flower"
    for probability, text in SAID.items():
        assert page.evaluate("sureness", probability) == text
    shares = page.locator("#guesses .share").all_text_contents()
    assert shares == [sureness.percent(probability) for probability in answer.values()]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than a phone"
    asked(page, "note.png", b"no picture")
    assert "can't read that file" in page.text_content("#error")
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "blob:"))] == []
    context.close()


@pytest.mark.browser
def test_the_page_says_when_a_photo_is_none_of_the_kinds(browser, tmp_path: Path) -> None:
    surest = {"score": "energy", "threshold": 1e6}
    path = save(tmp_path / "best.safetensors", rejection=surest, size=127, views="centre")
    export.export(path, "html", tmp_path / "page.html")
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    answer = asked(page, "rose.png", encoded(pictures()[0], "PNG"))
    assert page.text_content("#name") == "Not one of the 7 kinds"
    assert len(answer) == 5
    page.close()


def test_no_model_makes_a_page_of_more_than_30_megabytes() -> None:
    assert html_file.budget() * 4 / 3 + html_file.ROOM <= 30_000_000


def _section(path: str) -> None:
    """The section alone, as a script for AppTest."""
    from pathlib import Path

    from flowers_core.network import checkpoint
    from flowers_core.ui.classify import take_home

    take_home.offer(Path(path), checkpoint.read_card(Path(path)))


def test_the_section_makes_a_file_on_request_and_tells_what_is_wrong(tmp_path: Path) -> None:
    path = save(tmp_path / "best.safetensors", size=127, views="centre")
    app = AppTest.from_function(_section, kwargs={"path": str(path)}, default_timeout=60).run()
    assert not app.get("download_button"), "a file before anybody asked"
    app.button[0].click().run()
    (download,) = app.get("download_button")
    assert download.proto.label.startswith("Download (")
    assert b"<!doctype html>" in app.session_state["taken-home"]["content"][:100]
    app.get("segmented_control")[0].set_value("safetensors").run()
    assert not app.get("download_button"), "the page's file under another name"
    app.button[0].click().run()
    kept = io.BytesIO(app.session_state["taken-home"]["content"])
    assert zipfile.ZipFile(kept).namelist() == ["flowers.safetensors", "flowers.py"]
    path.write_bytes(path.read_bytes()[:-1000])
    app.run()
    app.button[0].click().run()
    assert "cut off or damaged" in app.error[0].value
    assert not app.exception
