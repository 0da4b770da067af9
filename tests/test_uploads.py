"""Name a flower: photos and models as they are handed over, whatever they are."""

import io
from pathlib import Path

import pytest
from app_pages import TRAP, jpeg, opened, texts
from conftest import PROBABILITIES
from PIL import Image

pytestmark = pytest.mark.usefixtures("nothing_kept")


@pytest.mark.usefixtures("model")
def test_a_photo_gets_an_answer_and_a_text_file_a_reason() -> None:
    app = opened("classify")
    files = [("mine.jpg", jpeg(), "image/jpeg"), ("letter.jpg", b"Dear all", "image/jpeg")]
    app.file_uploader(key="uploads").set_value(files).run()
    assert not app.exception
    assert texts(app, "header") == ["Rose"]
    answers = dict(bar.text.removesuffix("%").split(": ") for bar in app.progress)
    assert list(answers) == ["rose", "daffodil", "sunflower"]
    for kind, percent in answers.items():
        assert float(percent) / 100 == pytest.approx(PROBABILITIES[kind], abs=0.01)
    assert "letter.jpg" in texts(app, "text")
    assert app.error[0].value.startswith("Not a picture in a known format")


@pytest.mark.usefixtures("model")
def test_the_camera_gets_an_answer_too() -> None:
    app = opened("classify")
    app.get("segmented_control")[0].set_value("The camera").run()
    app.camera_input(key="camera").upload("photo.jpg", jpeg("sunflower"), "image/jpeg").run()
    assert not app.exception
    assert texts(app, "header") == ["Rose"]


@pytest.mark.usefixtures("model")
def test_names_of_uploaded_files_are_never_markdown() -> None:
    app = opened("classify")
    files = [(f"{TRAP}.jpg", jpeg(), "image/jpeg"), (f"{TRAP}.png", b"no picture", "image/png")]
    app.file_uploader(key="uploads").set_value(files).run()
    assert not app.exception
    assert len(app.progress) == 3
    assert f"{TRAP}.png" in texts(app, "text")
    formatted = texts(app, "markdown", "caption", "header", "subheader", "error", "info", "warning", "success")
    assert not [text for text in [*formatted, *(bar.text for bar in app.progress)] if "127.0.0.1" in text]


def test_a_damaged_checkpoint_is_not_offered(home: Path, model: str) -> None:
    damaged = home / "checkpoints" / "runs" / "20250601-130000-damaged-2014" / "best.safetensors"
    damaged.parent.mkdir()
    damaged.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    app = opened("classify")
    assert not app.exception
    assert len(app.selectbox(key="model").options) == 1


def test_weights_that_are_cut_off_are_an_error_to_read(home: Path, rose_sayer: Path) -> None:
    cut = home / "checkpoints" / "runs" / "20250601-130000-cut-2014" / "best.safetensors"
    cut.parent.mkdir(parents=True)
    with open(rose_sayer, "rb") as whole:
        cut.write_bytes(whole.read(1_000_000))
    app = opened("classify")
    app.file_uploader(key="uploads").set_value([("mine.jpg", jpeg(), "image/jpeg")]).run()
    assert not app.exception
    assert [error.value for error in app.error] == ["The checkpoint is cut off or damaged."]
    assert not app.get("progress"), "nobody waits for it any more"
    assert cut.name in texts(app, "text")


def test_a_huge_photo_is_answered_and_shown_small(model: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (6000, 3000), "orange").save(buffer, "JPEG")
    app = opened("classify")
    app.file_uploader(key="uploads").set_value([("wide.jpg", buffer.getvalue(), "image/jpeg")]).run()
    assert not app.exception
    assert texts(app, "header") == ["Rose"]
