"""What the simulated people do: the action lists of H2O, FPHA and AssemblyHands, and which of them look alike.

Every action is a gesture with an object. Half of the gestures are another one run backwards, so those pairs differ
by the direction of time alone; actions of one gesture with two objects differ by the object alone; and some gestures
begin like another one and differ by their last moments.

The lists are those of `formats.h2o_classes` (36 actions, 11 verbs, 8 objects), `formats.fpha_classes` (45 actions, 26
objects), and the six verbs of Ohkawa et al. 2023, section 5.
"""

from dataclasses import dataclass
from enum import StrEnum

from handloom.formats import fpha_classes, h2o_classes


class Gesture(StrEnum):
    """What the hands do, whatever the object. Each is acted out by the function of the same name in `actions`."""

    PICK_UP = "pick up"
    READ = "read"
    UNCAP = "uncap"
    TAKE_OUT = "take out"
    POUR = "pour"
    SPRAY = "spray"
    SQUEEZE_OUT = "squeeze out"
    RUB = "rub"
    INSERT = "insert"
    SCREW = "screw"
    OPEN_FLAP = "open flap"
    DRINK = "drink"
    TOAST = "toast"
    STIR = "stir"
    SCOOP = "scoop"
    SCOOP_AND_TIP = "scoop and tip"
    SHAKE = "shake"
    SHAKE_AND_TIP = "shake and tip"
    STRIKE = "strike"
    PRICK = "prick"
    SCRUB = "scrub"
    CIRCLE = "circle"
    CRUSH = "crush"
    TEAR = "tear"
    FLIP = "flip"
    WRITE = "write"
    PRESS = "press"
    HAND_OVER = "hand over"
    SHAKE_HANDS = "shake hands"
    HIGH_FIVE = "high five"


class State(StrEnum):
    """What must hold of an object before an action, and holds after it."""

    RESTING = "resting"
    HELD = "held"
    OPEN = "held and open"
    TAKEN = "held, and what was in it is out"
    EMPTIED = "held and open, and what was in it is out"
    INSERTED = "inserted"
    SCREWED = "screwed"


@dataclass(frozen=True)
class Action:
    """One class of a taxonomy.

    Attributes:
        verb, noun: as the data set names them.
        gesture: what is acted out.
        reverse: the gesture runs backwards in time.
        before, after: states of the object at the two ends, in the direction in which the action runs.
        label: the data set's own name, where it is not verb and noun.
    """

    verb: str
    noun: str
    gesture: Gesture
    before: State
    after: State
    reverse: bool = False
    label: str = ""

    @property
    def name(self) -> str:
        """The class name, as in "take out espresso" or FPHA's "take letter from enveloppe"."""
        return self.label or f"{self.verb} {self.noun}"


@dataclass(frozen=True)
class Taxonomy:
    """The actions of one data set, in its own order; label k of the data set is `actions[k - first_label]`.

    Attributes:
        name: the data set.
        actions: all classes.
        first_label: the number of the first class; where it is 1, 0 is the background.
        one_hand: only the right hand is labelled and shown.
    """

    name: str
    actions: tuple[Action, ...]
    first_label: int
    one_hand: bool = False

    @property
    def nouns(self) -> tuple[str, ...]:
        """Objects in the order of first appearance."""
        return tuple(dict.fromkeys(action.noun for action in self.actions))

    @property
    def verbs(self) -> tuple[str, ...]:
        """Verbs in the order of first appearance."""
        return tuple(dict.fromkeys(action.verb for action in self.actions))

    def action(self, name: str) -> Action:
        """The action of a name. Raises KeyError."""
        return {action.name: action for action in self.actions}[name]

    def time_pairs(self) -> list[tuple[Action, Action]]:
        """Pairs (forward, backward) of one gesture with one object: only the direction of time tells them apart."""
        return [
            (forward, backward)
            for forward in self.actions
            for backward in self.actions
            if not forward.reverse
            and backward.reverse
            and (forward.gesture, forward.noun) == (backward.gesture, backward.noun)
        ]

    def object_pairs(self) -> list[tuple[Action, Action]]:
        """Pairs of one gesture in one direction with two objects: only the object tells them apart."""
        return [
            (a, b)
            for i, a in enumerate(self.actions)
            for b in self.actions[i + 1 :]
            if (a.gesture, a.reverse) == (b.gesture, b.reverse) and a.noun != b.noun
        ]

    def ending_pairs(self) -> list[tuple[Action, Action]]:
        """Pairs (short, long) with one object: the long one begins like the short one and goes on."""
        return [
            (a, b)
            for a in self.actions
            for b in self.actions
            if not a.reverse and not b.reverse and a.noun == b.noun and BEGINS_LIKE.get(b.gesture) is a.gesture
        ]


BEGINS_LIKE = {
    Gesture.READ: Gesture.PICK_UP,
    Gesture.INSERT: Gesture.PICK_UP,
    Gesture.SCOOP_AND_TIP: Gesture.SCOOP,
    Gesture.SHAKE_AND_TIP: Gesture.SHAKE,
}
"""Gestures that repeat another one, movement by movement, before they show their own end."""


def _pick_up(verb: str, noun: str) -> Action:
    return Action(verb, noun, Gesture.PICK_UP, State.RESTING, State.HELD)


def _put_down(verb: str, noun: str) -> Action:
    return Action(verb, noun, Gesture.PICK_UP, State.HELD, State.RESTING, reverse=True)


def _h2o_action(verb: str, noun: str) -> Action:
    held, opened, resting = State.HELD, State.OPEN, State.RESTING
    match verb:
        case "grab":
            return _pick_up(verb, noun)
        case "place":
            return _put_down(verb, noun)
        case "open":
            return Action(verb, noun, Gesture.UNCAP, held, opened)
        case "close":
            return Action(verb, noun, Gesture.UNCAP, opened, held, reverse=True)
        case "take out" if noun == "chips":  # under the lid
            return Action(verb, noun, Gesture.TAKE_OUT, opened, State.EMPTIED)
        case "take out":
            return Action(verb, noun, Gesture.TAKE_OUT, held, State.TAKEN)
        case "put in":
            return Action(verb, noun, Gesture.TAKE_OUT, State.TAKEN, held, reverse=True)
        case "apply":
            return Action(verb, noun, Gesture.RUB, resting, resting)
        case "read":
            return Action(verb, noun, Gesture.READ, resting, held)
        case "spray":
            return Action(verb, noun, Gesture.SPRAY, held, held)
    return Action(verb, noun, {"pour": Gesture.POUR, "squeeze": Gesture.SQUEEZE_OUT}[verb], opened, opened)


def _h2o() -> Taxonomy:
    actions = tuple(_h2o_action(verb, noun) for verb, noun in h2o_classes.ACTIONS)
    return Taxonomy("h2o", actions, first_label=1)


_FPHA_GESTURES = {
    Gesture.UNCAP: "open_juice_bottle open_peanut_butter open_milk open_liquid_soap",
    Gesture.POUR: "pour_juice_bottle pour_milk pour_liquid_soap pour_wine",
    Gesture.PRICK: "prick",
    Gesture.SHAKE: "sprinkle",
    Gesture.SCOOP: "scoop_spoon",
    Gesture.SCOOP_AND_TIP: "put_sugar",
    Gesture.STIR: "stir",
    Gesture.DRINK: "drink_mug",
    Gesture.INSERT: "put_tea_bag charge_cell_phone",
    Gesture.SHAKE_AND_TIP: "put_salt",
    Gesture.CIRCLE: "wash_sponge",
    Gesture.FLIP: "flip_sponge flip_pages",
    Gesture.SCRUB: "scratch_sponge clean_glasses",
    Gesture.CRUSH: "squeeze_sponge squeeze_paper",
    Gesture.OPEN_FLAP: "open_soda_can open_letter unfold_glasses open_wallet",
    Gesture.PRESS: "use_flash use_calculator",
    Gesture.WRITE: "write",
    Gesture.TEAR: "tear_paper",
    Gesture.TAKE_OUT: "take_letter_from_enveloppe",
    Gesture.READ: "read_letter",
    Gesture.STRIKE: "light_candle",
    Gesture.HAND_OVER: "give_coin give_card",
    Gesture.TOAST: "toast_wine",
    Gesture.SHAKE_HANDS: "handshake",
    Gesture.HIGH_FIVE: "high_five",
}
_FPHA_OPPOSITES = {
    "close_juice_bottle": "open_juice_bottle",
    "close_peanut_butter": "open_peanut_butter",
    "close_milk": "open_milk",
    "close_liquid_soap": "open_liquid_soap",
    "receive_coin": "give_coin",
}


def _fpha() -> Taxonomy:
    gestures = {label: gesture for gesture, labels in _FPHA_GESTURES.items() for label in labels.split()}
    return Taxonomy(
        "fpha",
        tuple(
            Action(
                fpha_classes.verb_of(label),
                item.replace("_", " "),
                gestures[_FPHA_OPPOSITES.get(label, label)],
                State.RESTING,
                State.RESTING,
                label in _FPHA_OPPOSITES,
                label.replace("_", " "),
            )
            for label, item in fpha_classes.OBJECT_OF_ACTION.items()
        ),
        first_label=0,
        one_hand=True,
    )


ASSEMBLY_PARTS = ("wheel", "cabin", "bumper")
"""Parts of the take-apart toy that the assembly verbs act on."""

DESKTOP_PARTS = ("gear", "block", "tube")
"""Parts that no recording of the `assembly` rig shows."""


def _assembly(name: str, parts: tuple[str, ...]) -> Taxonomy:
    per_verb = (
        [_pick_up("pick up", part) for part in parts],
        [Action("position", part, Gesture.INSERT, State.RESTING, State.INSERTED) for part in parts],
        [Action("screw", part, Gesture.SCREW, State.INSERTED, State.SCREWED) for part in parts],
        [_put_down("put down", part) for part in parts],
        [Action("remove", part, Gesture.INSERT, State.INSERTED, State.RESTING, reverse=True) for part in parts],
        [Action("unscrew", part, Gesture.SCREW, State.SCREWED, State.INSERTED, reverse=True) for part in parts],
    )
    return Taxonomy(name, tuple(action for actions in per_verb for action in actions), first_label=0)


H2O, FPHA = _h2o(), _fpha()
ASSEMBLY, DESKTOP = _assembly("assembly", ASSEMBLY_PARTS), _assembly("desktop", DESKTOP_PARTS)
