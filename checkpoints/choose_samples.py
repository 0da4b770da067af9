"""Finds drawn samples that the built-in model names rightly: python -m checkpoints.choose_samples

Prints `DRAWN` for flowers_core/ui/classify/samples.py: of the kinds that the model is surest of, the picture that it
is surest of.
To run after the model was trained anew, as tests/test_classify.py says when it is needed. About a minute.
"""

from flowers_core.evaluation.predict import Classifier
from flowers_core.images import SIDE, decode
from flowers_core.storage import shipped_dir
from flowers_core.ui.classify.samples import SEEDS_FROM, SHOWN, draw

SEEDS = range(SEEDS_FROM, SEEDS_FROM + 40)


def best_samples(classifier: Classifier) -> list[tuple[str, int]]:
    """Kind and seed of a picture of each kind that has one which the model accepts and names rightly, surest first."""
    found = []
    for kind in classifier.classes:
        rights = []
        for seed in SEEDS:
            answer = classifier.classify(decode(draw(kind, seed), want=SIDE), top=1)
            name, probability = answer.top[0]
            if answer.known and name == kind:
                rights.append((probability, seed))
        if rights:
            # A kind that is named rightly in many pictures will mostly be by the next model too.
            found.append((len(rights), kind, max(rights)[1]))
    return [(kind, seed) for _, kind, seed in sorted(found, reverse=True)]


if __name__ == "__main__":
    samples = best_samples(Classifier(shipped_dir() / "flowers30.safetensors"))
    print(f"# {len(samples)} kinds are named rightly in one of {len(SEEDS)} pictures at least")
    print("DRAWN = (", *(f"    {sample}," for sample in samples[:SHOWN]), ")", sep="\n")
