# ruff: noqa: E501 (rows of the card are single lines)
"""Builds the shipped model: python -m checkpoints.build_flowers30 FLOWERS_102 [OTHER ...]

FLOWERS_102 is a flowers-102 folder as torchvision lays it out. The model learns from all of its photos of the 30 kinds;
five sisters, which learn from four fifths each, calibrate and judge the recipe on the photos that they have not seen.
OTHER are folders of photos that show none of the 30 kinds, to measure how many of them are mistaken for one. Writes
flowers30.safetensors, its card and its album. About an hour on two cores with bfloat16 instructions; started again
after an interruption, it goes on.
"""

import argparse
import functools
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from flowers_core import garden
from flowers_core.evaluation import metrics, similar
from flowers_core.evaluation.predict import Classifier
from flowers_core.evaluation.robustness import CONDITIONS
from flowers_core.images.augment import STRENGTHS, eval_views, input_transform
from flowers_core.images.disturb import disturb
from flowers_core.machine import precision
from flowers_core.network import calibrate, checkpoint, mahalanobis, reader
from flowers_core.network.alexnet import AlexNet
from flowers_core.network.compress import compress
from flowers_core.photos.cache import DecodedSource, decode_source
from flowers_core.photos.dataset import CPU, Split, select
from flowers_core.runs import Run
from flowers_core.settings.config import TrainConfig, to_dict
from flowers_core.sources import open_source
from flowers_core.storage import runs_dir, shipped_dir, write_bytes
from flowers_core.training import cross_validate
from flowers_core.training.train import fit
from flowers_core.training.validate import view_looks
from flowers_core.training.views import Views, summarise

CONFIG = TrainConfig(
    data="flowers102", epochs=40, lr=0.005, batch_size=48, label_smoothing=0.05, augmentation="strong", views="centre"
)
TRANSFORM = input_transform(CONFIG)
FOLDS = 5

RANK = 46
"""Of the hidden layers: the largest with which the file stays under 8 MB."""

SUMMARIES = 12 * 2500
"""Views of the training photos that the second reader learns from at most: twelve of each are made."""

FEATURE_PHOTOS = 1500
"""Training photos whose features choose the directions that are kept."""

DISTURBED = 150
"""Photos of each fold that are asked about under each disturbance."""

DRAWINGS = 20
"""Of each kind, pictures of the drawn garden that the model is asked about."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What a sister model says of the photos that it has not seen.

    Args:
        network: the small one, with the second reader.
        photos: those not seen.
        full: (n, 1, classes) logits of the fully connected layers before they were made small.
        alone, second: the same of the small ones, and of the second reader.
        columns: (n, columns) what the Mahalanobis distance looks at.
    """

    network: AlexNet
    photos: Split
    full: np.ndarray
    alone: np.ndarray
    second: np.ndarray
    columns: np.ndarray

    def logits(self, weigh: float) -> np.ndarray:
        """(n, 1, classes) of both readers, the second one counting so much."""
        return self.alone + weigh * self.second

    def uncompressed_logits(self, weigh: float) -> np.ndarray:
        """The same before the network was made small."""
        return self.full + weigh * self.second

    def mahalanobis_scores(self, weigh: float, logit_weight: float) -> np.ndarray:
        """(n,) by distance and logits, see `mahalanobis`."""
        return self.network.mahalanobis.scores(self.columns, self.logits(weigh).mean(1), logit_weight)


def all_to_learn(folder: Path) -> DecodedSource:
    """All photos of a source, whatever splits it gives, as training photos."""
    decoded = decode_source(open_source(folder))
    photos = tuple(replace(photo, split="train") for photo in decoded.source.photos)
    return replace(decoded, source=replace(decoded.source, photos=photos))


def trained(decoded: DecodedSource, fold_of: list[int], number: int) -> tuple[AlexNet, checkpoint.Card, DecodedSource]:
    """The full network of fold 1, 2, ..., or, as number 0, of all photos: trained, or gone on with, where needed."""
    part = cross_validate.subset_for_fold(decoded, fold_of, number - 1 if number else None)
    run = Run(runs_dir() / (f"flowers30-{number}" if number else "flowers30"))
    run.folder.mkdir(parents=True, exist_ok=True)
    config = replace(CONFIG, seed=number or CONFIG.seed)
    if run.resume_path.exists() or not run.checkpoint_path.exists():
        fit(config, part, run, lambda: "")
    network, card = checkpoint.load(run.checkpoint_path)
    if (card.data["fingerprint"], card.config) != (part.fingerprint, to_dict(config)):
        sys.exit(f"{run.folder} is of other photos or settings. Move it away and start again.")
    return network, card, part


@torch.inference_mode()
def features(network: AlexNet, split: Split) -> torch.Tensor:
    """What the convolutions see in the centre of some photos."""
    chosen = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:FEATURE_PHOTOS]
    rows = []
    for indices in chosen.split(64):
        squares, aspects, _ = split.load(indices)
        rows += [network.pooled_features(view) for view in eval_views(squares, aspects, TRANSFORM)]
    return torch.cat(rows)


def made_small(full: AlexNet, learned: Split) -> AlexNet:
    """The same network with narrow hidden layers, a second reader, and the places of the kinds."""
    small = compress(full, features(full, learned), RANK)
    views = Views(small, learned, TRANSFORM, STRENGTHS[CONFIG.augmentation], 0, CPU, precision.choose("auto", CPU))
    seen, labels, plain, photos = summarise(views, SUMMARIES)
    columns = mahalanobis.columns(seen[plain].numpy(), small.summary_filters)
    small.mahalanobis = mahalanobis.fit(columns, labels[plain].numpy(), small.classes)
    small.add_reader(*reader.fit(seen, labels, small.classes, photos))
    return small


def judged(full: AlexNet, part: DecodedSource) -> Judged:
    """A sister model, small, and its answers to the photos of its fold."""
    small, held = made_small(full, select(part, "train")), select(part, "test")
    looks = functools.partial(view_looks, split=held, transform=TRANSFORM, device=CPU, number_format="float32")
    before, _, _ = looks(full)
    alone, second, summary = looks(small)
    columns = mahalanobis.columns(summary.numpy(), small.summary_filters)
    return Judged(small.eval(), held, before.numpy(), alone.numpy(), second.numpy(), columns)


def weighed(network: AlexNet, weight: float) -> AlexNet:
    """The network, its second reader counting so much."""
    with torch.no_grad():
        network.reader.weight *= weight
        network.reader.bias *= weight
    return network


def accepted_others(classifier: Classifier, folders: list[Path]) -> dict[str, dict]:
    """For each folder of other things: how many photos there are, and how many are taken for one of the kinds."""
    counts = {}
    for folder in folders:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        answers = classifier.classify_files((path, path.name) for path in files)
        known = [answer.known for answer in answers if not answer.error]
        if known:
            counts[folder.name] = {"n": len(known), "accepted": sum(known)}
    return counts


def drawings(classifier: Classifier) -> str:
    """A sentence on what a model of photos makes of drawings of its kinds."""
    kinds = [kind for kind in classifier.classes for _ in range(DRAWINGS)]
    pictures = (garden.draw(kind, seed % DRAWINGS) for seed, kind in enumerate(kinds))
    answers = [classifier.classify(picture) for picture in pictures]
    known = sum(answer.known for answer in answers) / len(kinds)
    named = [answer.known and answer.top[0][0] == kind for answer, kind in zip(answers, kinds, strict=True)]
    right = sum(named) / len(kinds)
    return (
        f"Of {len(kinds)} pictures of the drawn garden, which show the same 30 kinds, {known:.0%} are taken for one of them: "
        f"{right:.0%} by the right name, {known - right:.0%} by another."
    )


@torch.inference_mode()
def disturbed(members: list[Judged]) -> tuple[int, list[dict]]:
    """How many photos were disturbed, and top-1 under each disturbance, each by the sister that has not seen it."""
    rows = []
    some = [(member.network, member.photos.thinned(DISTURBED)) for member in members]
    n = sum(len(split) for _, split in some)
    for condition in CONDITIONS:
        hits = 0
        for network, split in some:
            for indices in torch.arange(len(split)).split(32):
                squares, aspects, labels = split.load(indices)
                changed = disturb(squares.numpy(), aspects.numpy(), [condition.of(int(i)) for i in indices])
                (view,) = eval_views(torch.from_numpy(changed), aspects, TRANSFORM)
                hits += int((network(view).argmax(1) == labels).sum())
        found = metrics.proportion(hits, n)
        rows.append({"name": condition.name, "amount": condition.amount, "text": str(found)})
        print(condition.name, condition.amount, found, flush=True)
    return n, rows


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


def held_out(logits: np.ndarray, labels: np.ndarray, mahalanobis_scores: np.ndarray) -> dict:
    """Calibration error and accepted share on halves of the photos that the other half calibrated (20 splits)."""
    errors, passed = [], []
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(labels))
        for fitted, asked in (np.array_split(order, 2), np.array_split(order, 2)[::-1]):
            found = calibrate.fit(logits[fitted], labels[fitted])
            answers = calibrate.probabilities(logits[asked], found.temperature)
            errors.append(metrics.expected_calibration_error(answers, labels[asked]))
            threshold = np.quantile(mahalanobis_scores[fitted], 1 - calibrate.ACCEPTED)
            passed.append((mahalanobis_scores[asked] >= threshold).mean())
    return {"ece": float(np.mean(errors)), "accepted": float(np.mean(passed))}


def build(folder: Path, others: list[Path]) -> None:
    """All of it."""
    decoded = all_to_learn(folder)
    fold_of = cross_validate.assign_folds(decoded, FOLDS, CONFIG.seed)
    members = []
    for number in range(1, FOLDS + 1):
        full, _, part = trained(decoded, fold_of, number)
        members.append(judged(full, part))
    labels = np.concatenate([member.photos.labels.numpy() for member in members])
    weigh = reader.weigh(
        *(np.concatenate([getattr(m, voice) for m in members]) for voice in ("alone", "second")), labels
    )
    print("the second reader counts", weigh, flush=True)
    logits = np.concatenate([member.logits(weigh) for member in members])
    before = np.concatenate([member.uncompressed_logits(weigh) for member in members])

    def mahalanobis_scores(logit_weight: float) -> np.ndarray:
        return np.concatenate([member.mahalanobis_scores(weigh, logit_weight) for member in members])

    calibration = calibrate.fit(logits, labels, mahalanobis_scores)
    result, uncompressed = (figures(each, labels, calibrate.fit(each, labels).temperature) for each in (logits, before))
    for name, found in (("small", result), ("full", uncompressed)):
        print(name, {k: str(v) for k, v in found.items() if k != "confusion"}, flush=True)

    full, card, whole = trained(decoded, fold_of, 0)
    small = weighed(made_small(full, select(whole, "train")), weigh)
    results = {
        "epoch": card.results["epoch"], "folds": FOLDS, "valid_accuracy": result["top1"].value, "valid_n": len(labels),
    }  # fmt: skip
    shipped = replace(
        card, transform=asdict(TRANSFORM), config=to_dict(CONFIG), temperature=calibration.temperature,
        rejection=calibration.rejection, results=results,
    )  # fmt: skip
    path = shipped_dir() / "flowers30.safetensors"
    checkpoint.save(path, checkpoint.with_kinds(checkpoint.shrink(small), small.mahalanobis), shipped)

    classifier = Classifier(path)
    similar.save(similar.build(classifier, whole), similar.shipped_path(path))
    for member in members:
        weighed(member.network, weigh)
    text = describe(
        shipped, path, result, uncompressed, held_out(logits, labels, mahalanobis_scores(calibration.logit_weight)),
        accepted_others(classifier, others), drawings(classifier), disturbed(members), len(labels),
    )  # fmt: skip
    write_bytes(path.with_suffix(".md"), text.encode())


def describe(card, path, result, uncompressed, halves, others, drawn, robustness, n) -> str:
    """The card that people read."""
    classes = "\n".join(
        f"| {name} | {c.precision} | {c.recall} | {c.f1:.2f} |"
        for name, c in zip(card.classes, metrics.per_class(result["confusion"]), strict=True)
    )
    asked, rows = robustness
    changes = "\n".join(f"| {row['name']} {row['amount']} | {row['text']} |" for row in rows)
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
| Trained on | {n:,} photos of Oxford Flowers-102 (Nilsback and Zisserman 2008), all official ids of the kinds that were at hand |
| Calibrated and measured by | {FOLDS}-fold cross-validation: sister models that learned from four fifths, asked about the other fifth; near copies stay together |
| Settings that differ from the standard | {", ".join(f"{k} {v}" for k, v in settings.items())} |
| Top-1 | {result["top1"]} |
| Top-5 | {result["top5"]} |
| Top-1 before compression | {uncompressed["top1"]} |
| Calibration error | {result["ece"]:.3f}; {halves["ece"]:.3f} on halves that had no part in choosing the temperature (mean of 40) |
| Temperature, threshold | {card.temperature:.3f}, {card.rejection["threshold"]:.2f} |
| True flowers accepted | {halves["accepted"]:.1%} on halves that had no part in choosing the threshold |
| Licence | the weights: MIT, as the project, under the terms of what they were built from |
| Build it again | `python -m checkpoints.build_flowers30 FLOWERS_102` |

Flowers-102 states no licence; its photos are not part of this project. The album beside the model holds 64 numbers per
training photo and the photo's number, no picture.

## Limits

It knows 30 kinds, mostly in bloom and close up, from web photos of before 2008. Leaves, buds and bouquets are not what
it learned. It can be wrong with confidence, above all with flowers that look like one of its kinds. All figures are of photos of
the same source; of other cameras and gardens expect less. Never eat a plant because an app named it.

## What is none of the kinds

At the threshold that lets 95 % of true flowers pass, so many other pictures pass too:

| pictures | number | taken for one of the kinds |
|---|---|---|
{mistaken}

{drawn}

## Disturbed photos

Top-1 with 95 % interval of {asked} of the photos, each disturbed and asked about by the sister that had not seen it:

| disturbance | top-1 |
|---|---|
{changes}

## Kind by kind

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
