"""Names and numbers of H2O (README of taeinkwon/h2odataset): objects, verbs, actions, splits."""

OBJECTS = ("book", "espresso", "lotion", "spray", "milk", "cocoa", "chips", "cappuccino")
"""Object class k of the files is `OBJECTS[k - 1]`; 0 is no object."""

VERBS = ("grab", "place", "open", "close", "pour", "take out", "put in", "apply", "read", "spray", "squeeze")
"""Verb k of the files is `VERBS[k - 1]`; 0 is no verb."""

_NOUNS_OF_VERBS = {
    "grab": OBJECTS,
    "place": OBJECTS,
    "open": ("lotion", "milk", "chips"),
    "close": ("lotion", "milk", "chips"),
    "pour": ("milk",),
    "take out": ("espresso", "cocoa", "chips", "cappuccino"),
    "put in": ("espresso", "cocoa", "cappuccino"),
    "apply": ("lotion", "spray"),
    "read": ("book", "espresso"),
    "spray": ("spray",),
    "squeeze": ("lotion",),
}
ACTIONS = tuple((verb, noun) for verb, nouns in _NOUNS_OF_VERBS.items() for noun in nouns)
"""(verb, noun) of the 36 actions: action k of the files is `ACTIONS[k - 1]`; 0 is background."""

SUBJECTS = ("subject1", "subject2", "subject3", "subject4")
SCENES = ("h1", "h2", "k1", "k2", "o1", "o2")
CAMERAS = ("cam0", "cam1", "cam2", "cam3", "cam4")
"""Four fixed cameras and, last, the one on the head."""

FRAME_RATE = 30


def split_of(subject: str, scene: str) -> str:
    """Subjects 1 and 2 and half of subject 3 train, the other half validates, subject 4 is unseen until the test."""
    if subject == "subject3":
        return "train" if scene in ("h1", "h2", "k1") else "val"
    return "test" if subject == "subject4" else "train"
