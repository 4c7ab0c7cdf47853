"""`handloom datasets`: what there is, under which licence, where to ask for it, and what to type then."""

from dataclasses import dataclass

from handloom.errors import InputError
from handloom.rows import Rows


@dataclass(frozen=True)
class DatasetCard:
    """What a user wants to know before asking for a data set.

    Attributes:
        name: as `handloom prepare` takes it.
        title: full name and paper.
        holds: what is in it.
        splits: the official ones.
        licence: in short; the owner's own text holds.
        ask: where it is to be had.
        layout: what the folder must hold once unpacked.
        note: what users stumble over.
    """

    name: str
    title: str
    holds: str
    splits: str
    licence: str
    ask: str
    layout: str
    note: str

    @property
    def command(self) -> str:
        """What to type once the data is there."""
        return f"handloom prepare {self.name} FOLDER --out stores/{self.name}"


CARDS = (
    DatasetCard(
        name="h2o",
        title="H2O: Two Hands Manipulating Objects for First Person Interaction Recognition (Kwon et al., ICCV 2021)",
        holds="both hands, 8 objects, 36 actions; 4 subjects; 4 fixed cameras and 1 on the head, 1280x720, 30 Hz",
        splits="569 / 122 / 242 segments in train / val / test; subject 4 is unseen",
        licence="research only, by registration",
        ask="https://taeinkwon.com/projects/h2o",
        layout="subject1 ... subject4, action_labels",
        note="the public test file has no labels: accuracy on test comes from the authors' CodaLab server",
    ),
    DatasetCard(
        name="fpha",
        title="First-Person Hand Action Benchmark (Garcia-Hernando et al., CVPR 2018)",
        holds="right hand by magnetic sensors, 26 objects, 45 actions; 6 subjects; 1 camera, 1920x1080, 30 Hz",
        splits="600 / 575 sequences in train / test; the same subjects in both",
        licence="academic, non-commercial; a form must be signed",
        ask="https://guiggh.github.io/publications/first-person-hands/",
        layout="Hand_pose_annotation_v1, Subjects_info, Video_files, data_split_action_recognition.txt",
        note="sensors and wires are visible on the hand",
    ),
    DatasetCard(
        name="assemblyhands",
        title="AssemblyHands (Ohkawa et al., CVPR 2023)",
        holds="both hands taking toys apart; 34 subjects; 8 fixed colour and 4 monochrome head cameras; 3.0 M images",
        splits="train / val / test by sequence; the joints of test are withheld",
        licence="CC BY-NC 4.0",
        ask="https://assemblyhands.github.io",
        layout="annotations/{train,val,test}, images/ego_images_rectified, videos/exo_videos_rectified",
        note="frame numbers count at 60 Hz, every second one is annotated",
    ),
    DatasetCard(
        name="assembly101",
        title="Assembly101 (Sener et al., CVPR 2022)",
        holds="both hands at 60 Hz, 1380 actions (24 verbs, 90 objects) with toys; 8 fixed and 4 head cameras",
        splits="train / val / test by sequence",
        licence="CC BY-NC 4.0",
        ask="https://assembly-101.github.io (access to the drive ends after 14 days)",
        layout="poses (JSON per sequence), fine-grained-annotations (CSV)",
        note="labels count at 30 Hz, poses at 60; 25 of 362 sequences have no poses; there is no thumb base joint; "
        "without the videos, add --no-pictures",
    ),
)


def dataset_rows(name: str | None = None) -> tuple[str, Rows]:
    """A title, and rows for a table: all data sets, or the one of this name.

    Raises:
        InputError: there is none of this name.
    """
    chosen = [card for card in CARDS if name in (None, card.name)]
    if not chosen:
        raise InputError(f"unknown data set {name!r}; known: {', '.join(card.name for card in CARDS)}")
    rows: Rows = []
    for card in chosen:
        rows += [
            (card.name, card.title),
            ("  holds", card.holds),
            ("  splits", card.splits),
            ("  licence", card.licence),
            ("  ask for it", card.ask),
            ("  unpack to", f"FOLDER with {card.layout}"),
            ("  then type", card.command),
            ("  mind", card.note),
        ]
    return "Data sets that Handloom reads", rows
