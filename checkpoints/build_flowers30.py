# ruff: noqa: E501 (rows of the card are single lines)
"""Builds the shipped model: python -m checkpoints.build_flowers30 FLOWERS_102 [OTHER ...]

FLOWERS_102 is a flowers-102 folder as torchvision lays it out. Its official valid ids choose, calibrate and measure;
train and test ids are trained on. OTHER are folders of photos that show none of the 30 kinds, to measure how many of
them are mistaken for one. Writes flowers30.safetensors, its card and its album. About 15 minutes on two cores with
bfloat16 instructions.
"""

import argparse
import functools
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from flowers_core import calibrate, checkpoint, kind_space, metrics, precision, reader, similar, varied
from flowers_core.augment import STRENGTHS, eval_views
from flowers_core.cache import DecodedSource, decode_source
from flowers_core.compress import compress
from flowers_core.config import TrainConfig, to_dict
from flowers_core.dataset import Split, select
from flowers_core.disturb import disturb
from flowers_core.errors import ImageError
from flowers_core.images import SIDE, decode, to_square
from flowers_core.likeness import groups
from flowers_core.predict import Classifier
from flowers_core.robustness import CONDITIONS
from flowers_core.runs import Run
from flowers_core.sources import open_source
from flowers_core.storage import runs_dir, shipped_dir, write_bytes
from flowers_core.train import fit
from flowers_core.validate import view_logits, view_looks

CONFIG = TrainConfig(
    data="flowers102", epochs=40, lr=0.005, batch_size=48, label_smoothing=0.05, augmentation="strong", views="centre"
)
RANK = 46
"""Of the hidden layers: the largest with which the file stays under 8 MB."""

SUMMARIES = 24_000
"""Views of the training photos that the second reader learns from: twelve of each."""

FEATURE_PHOTOS = 1500
"""Training photos whose features choose the directions that are kept."""


def divide(decoded: DecodedSource) -> DecodedSource:
    """Official valid ids for validation, all others for training; near copies of training photos take no part."""
    photos = decoded.source.photos
    is_valid = np.array([photo.split == "valid" for photo in photos])
    group_of = groups(decoded)
    learned = {group_of.get(photo.name) for photo, held in zip(photos, is_valid, strict=True) if not held} - {None}
    kept = [i for i, photo in enumerate(photos) if not (is_valid[i] and group_of.get(photo.name) in learned)]
    divided = tuple(replace(photos[i], split="valid" if is_valid[i] else "train") for i in kept)
    source = replace(decoded.source, photos=divided)
    return replace(decoded, source=source, entries=tuple(decoded.entries[i] for i in kept))


def trained(decoded: DecodedSource) -> Path:
    """The full network's checkpoint, of the run "flowers30": trained, or gone on with, where needed."""
    run = Run(runs_dir() / "flowers30")
    run.folder.mkdir(parents=True, exist_ok=True)
    if run.resume_path.exists() or not run.checkpoint_path.exists():
        fit(CONFIG, decoded, run, lambda: "")
    return run.checkpoint_path


@torch.inference_mode()
def features(network, split: Split, transform) -> torch.Tensor:
    """What the convolutions see in the centre of some photos."""
    chosen = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:FEATURE_PHOTOS]
    centre = replace(transform, views="centre")
    rows = []
    for indices in chosen.split(64):
        squares, aspects, _ = split.load(indices)
        rows += [network.embed(view) for view in eval_views(squares, aspects, centre)]
    return torch.cat(rows)


def accepted_others(classifier: Classifier, folders: list[Path]) -> dict[str, dict]:
    """For each folder of other things: how many photos there are, and how many are taken for one of the kinds."""
    counts = {}
    for folder in folders:
        known = []
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            try:
                image = decode(path, want=SIDE)
            except ImageError:
                continue
            seen = classifier.see(to_square(image)[None], np.array([image.width / image.height]))
            known.append(bool(classifier.knows(*seen)[0]))
        if known:
            counts[folder.name] = {"n": len(known), "accepted": sum(known)}
    return counts


def disturbed(classifier: Classifier, split: Split) -> list[dict]:
    """Top-1 of the photos under each disturbance."""
    rows = []
    for condition in CONDITIONS:
        hits = 0
        for indices in torch.arange(len(split)).split(32):
            squares, aspects, labels = split.load(indices)
            changes = [condition.of(int(i)) for i in indices]
            answers = classifier.probabilities(disturb(squares.numpy(), aspects.numpy(), changes), aspects.numpy())
            hits += int((answers.argmax(1) == labels.numpy()).sum())
        found = metrics.proportion(hits, len(split))
        rows.append({"name": condition.name, "amount": condition.amount, "top1": found.value, "text": str(found)})
        print(condition.name, condition.amount, found, flush=True)
    return rows


def figures(logits: np.ndarray, labels: np.ndarray, temperature: float) -> dict:
    """Top-1, top-5 and calibration error of answers."""
    answers = calibrate.probabilities(logits, temperature)
    top5 = (np.argsort(-answers, axis=1)[:, :5] == labels[:, None]).any(1)
    return {
        "top1": metrics.proportion(int((answers.argmax(1) == labels).sum()), len(labels)),
        "top5": metrics.proportion(int(top5.sum()), len(labels)),
        "ece": metrics.expected_calibration_error(answers, labels),
        "confusion": metrics.confusion_matrix(labels, answers.argmax(1), answers.shape[1]),
    }


def held_out(logits: np.ndarray, labels: np.ndarray, kind_scores: np.ndarray) -> dict:
    """Calibration error and accepted share on halves of the photos that the other half calibrated (20 splits)."""
    errors, passed = [], []
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(labels))
        for fitted, asked in (np.array_split(order, 2), np.array_split(order, 2)[::-1]):
            found = calibrate.fit(logits[fitted], labels[fitted])
            answers = calibrate.probabilities(logits[asked], found.temperature)
            errors.append(metrics.expected_calibration_error(answers, labels[asked]))
            threshold = np.quantile(kind_scores[fitted], 1 - calibrate.ACCEPTED)
            passed.append((kind_scores[asked] >= threshold).mean())
    return {"ece": float(np.mean(errors)), "accepted": float(np.mean(passed))}


def build(folder: Path, others: list[Path]) -> None:
    """All of it."""
    decoded = divide(decode_source(open_source(folder)))
    valid, labels = select(decoded, "valid"), select(decoded, "valid").labels.numpy()
    full, card = checkpoint.load(trained(decoded))
    place, transform = precision.device(), replace(card.eval_transform(), views=CONFIG.views)
    small = compress(full, features(full, select(decoded, "train"), transform), RANK)
    learned, number_format = select(decoded, "train"), precision.choose("auto", place)
    seen, seen_labels, plain, photos = varied.summaries(
        small, learned, transform, STRENGTHS[CONFIG.augmentation], torch.Generator().manual_seed(0), place,
        number_format, SUMMARIES,
    )  # fmt: skip
    weight, bias = reader.fit(seen, seen_labels, small.classes, photos)
    columns = functools.partial(kind_space.columns, filters=small.summary_filters)
    space = kind_space.fit(columns(seen[plain].numpy()), seen_labels[plain].numpy(), small.classes)
    small.add_reader(weight, bias)
    alone, second, summary = view_looks(small, valid, transform, place, "float32")
    weigh = reader.weigh(alone.numpy(), second.numpy(), labels)
    print("the second reader counts", weigh, flush=True)
    for network in (full, small):
        network.add_reader(weigh * weight, weigh * bias)
    kind_scores = space.scores(columns(summary.numpy()))
    weights = checkpoint.with_kinds(checkpoint.shrink(small), space)
    path = shipped_dir() / "flowers30.safetensors"

    found = {}
    for views in ("centre", "scales"):
        for name, network in (("full", full), ("compressed", small)):
            logits = view_logits(network.eval(), valid, replace(transform, views=views), place, "float32").numpy()
            found[name, views] = logits, calibrate.fit(logits, labels, kind_scores)
            print(views, name, {k: str(v) for k, v in figures(logits, labels, found[name, views][1].temperature).items()
                                if k != "confusion"}, flush=True)  # fmt: skip
    logits, calibration = found["compressed", transform.views]
    result = figures(logits, labels, calibration.temperature)
    results = {
        "valid_accuracy": result["top1"].value,
        "valid_n": len(valid),
        "epoch": card.results["epoch"],
    }
    shipped = replace(
        card, transform=asdict(transform), config=to_dict(CONFIG), results=results,
        temperature=calibration.temperature, rejection=calibration.rejection,
    )  # fmt: skip
    checkpoint.save(path, weights, shipped)

    classifier = Classifier(path)
    similar.save(similar.build(classifier, decoded), similar.shipped_path(path))
    uncompressed = figures(*found["full", transform.views][:1], labels, found["full", transform.views][1].temperature)
    text = describe(
        shipped, path, result, uncompressed, held_out(logits, labels, kind_scores), accepted_others(classifier, others),
        disturbed(classifier, valid), decoded.source.counts(),
    )  # fmt: skip
    write_bytes(path.with_suffix(".md"), text.encode())


def describe(card, path, result, uncompressed, halves, others, robustness, counts) -> str:
    """The card that people read."""
    classes = "\n".join(
        f"| {name} | {c.precision} | {c.recall} | {c.f1:.2f} |"
        for name, c in zip(card.classes, metrics.per_class(result["confusion"]), strict=True)
    )
    changes = "\n".join(f"| {row['name']} {row['amount']} | {row['text']} |" for row in robustness)
    mistaken = "\n".join(
        f"| {name} | {row['n']} | {row['accepted'] / row['n']:.0%} |" for name, row in sorted(others.items())
    )
    settings = {k: v for k, v in asdict(CONFIG).items() if v != getattr(TrainConfig(), k)}
    return f"""# flowers30.safetensors

The model that answers before anybody has trained one: AlexNet 2014 for the 30 default kinds of flowers.

| | |
|---|---|
| Layers | all eight; the two hidden fully connected ones as products of rank {RANK}; float16, {path.stat().st_size / 1e6:.2f} MB |
| Started from | `alexnet-imagenet-features.safetensors` (see its card for provenance and licence) |
| Trained on | {counts["train"]:,} photos of Oxford Flowers-102 (Nilsback and Zisserman 2008): official train and test ids of the kinds |
| Chosen, calibrated and measured on | {counts["valid"]} photos: official valid ids, without near copies of training photos |
| Settings that differ from the standard | {", ".join(f"{k} {v}" for k, v in settings.items())} |
| Top-1 | {result["top1"]} |
| Top-5 | {result["top5"]} |
| Top-1 before compression | {uncompressed["top1"]} |
| Calibration error | {result["ece"]:.3f}; {halves["ece"]:.3f} on halves that had no part in choosing the temperature (mean of 40; half the photos, so noisier) |
| Temperature, threshold | {card.temperature:.3f}, {card.rejection["threshold"]:.2f} |
| True flowers accepted | {halves["accepted"]:.1%} on halves that had no part in choosing the threshold |
| Licence | the weights: MIT, as the project, under the terms of what they were built from |
| Build it again | `python -m checkpoints.build_flowers30 FLOWERS_102` |

Flowers-102 states no licence; its photos are not part of this project. The album beside the model holds 64 numbers per
training photo and the photo's number, no picture.

## Limits

It knows 30 kinds, mostly in bloom and close up, from web photos of before 2008. Leaves, buds and bouquets are not what
it learned. It can be wrong with confidence, above all with flowers that look like one of its kinds. The same photos that
chose the epoch measure it here, so expect slightly less on others. Never eat a plant because an app named it.

## What is none of the kinds

At the threshold that lets 95 % of true flowers pass, so many other pictures pass too:

| pictures | number | taken for one of the kinds |
|---|---|---|
{mistaken}

## Disturbed photos

Top-1 with 95 % interval of the validation photos, each disturbed:

| disturbance | top-1 |
|---|---|
{changes}

## Kind by kind

With about nine photos per kind the intervals are wide.

| kind | precision | recall | F1 |
|---|---|---|---|
{classes}
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("others", type=Path, nargs="*")
    options = parser.parse_args()
    sys.exit(build(options.folder, options.others))
