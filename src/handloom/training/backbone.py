"""Published weights of a ResNet, in torchvision's layout."""

from pathlib import Path

from handloom.errors import InputError
from handloom.formats.htt_checkpoint import read_pickled_weights
from handloom.formats.weights import load_exactly, read_tensors
from handloom.models.resnet import ResNet


def load_backbone(backbone: ResNet, path: Path) -> None:
    """Load ImageNet weights; their classifier is left out, and a grid keeps the weights it has.

    Args:
        backbone: of the same depth and width as the weights.
        path: .safetensors, or a .pth with nothing but tensors.

    Raises:
        InputError: missing, damaged, or of another network.
    """
    weights = read_tensors(path) if path.suffix == ".safetensors" else read_pickled_weights(path)
    if not isinstance(weights, dict):
        raise InputError(f"{path} is no dictionary of weights; give a ResNet's state_dict in torchvision's layout")
    published = {name: value for name, value in weights.items() if not name.startswith("fc.")}
    ours = {name: value for name, value in backbone.state_dict().items() if name.startswith("grid.")}
    load_exactly(backbone, published | ours, str(path))
