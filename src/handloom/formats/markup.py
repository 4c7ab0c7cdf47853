"""YAML and XML calibrations as plain mappings, with errors that say where the file is wrong."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import yaml

from handloom.errors import CalibrationError


class _Loader(yaml.SafeLoader):
    """Plain data only; reads YAML 1.2 and OpenCV numbers (1e-3, .Nan), which YAML 1.1 takes for text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping in which no key stands twice."""
        values = super().construct_mapping(node, deep)
        if len(values) < len(node.value):
            raise yaml.MarkedYAMLError(problem="a key is given twice in this block", problem_mark=node.start_mark)
        return values


_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")
_SPECIAL = {".nan": float("nan"), ".inf": float("inf"), "+.inf": float("inf"), "-.inf": -float("inf")}


def _number_from_text(text: str) -> float | None:
    return float(text) if _NUMBER.match(text) else _SPECIAL.get(text.lower())


def _construct_number(loader: _Loader, node: yaml.ScalarNode) -> float | str:
    value = _number_from_text(node.value)
    return node.value if value is None else value


def _construct_matrix(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    return loader.construct_mapping(node, deep=True)


_Loader.add_implicit_resolver(
    "!number", re.compile(r"[-+]?(\d+[eE]|\d+\.|\.\d|\.(?i:nan|inf)).*$"), list("-+.0123456789")
)
_Loader.add_constructor("!number", _construct_number)
_Loader.add_constructor("tag:yaml.org,2002:opencv-matrix", _construct_matrix)


def parse_yaml(path: Path, text: str) -> dict[str, Any]:
    """The mapping in a YAML text, OpenCV's dialect included. Raises CalibrationError with line and column."""
    # "%YAML:1.0", as OpenCV 4 writes it, is not YAML; the directive says nothing that is needed here.
    text = re.sub(r"\A%YAML.*", "", text)
    try:
        values = yaml.load(text, _Loader)
    except yaml.YAMLError as failure:
        mark, problem = getattr(failure, "problem_mark", None), getattr(failure, "problem", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise CalibrationError(f"{path} is not valid YAML{where}: {problem or failure}") from None
    except (RecursionError, ValueError, TypeError) as failure:
        raise CalibrationError(f"{path} cannot be read as YAML: {failure}") from None
    if not isinstance(values, dict):
        raise CalibrationError(f"{path} must hold named fields (name: value), found {type(values).__name__}")
    return values


def parse_xml(path: Path, text: str) -> dict[str, Any]:
    """The fields of an OpenCV XML file. Raises CalibrationError."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise CalibrationError(f"{path} declares XML entities, which no calibration needs; remove them")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as failure:
        line, column = failure.position
        raise CalibrationError(f"{path} is not valid XML at line {line}, column {column + 1}: {failure.msg}") from None
    if root.tag != "opencv_storage":
        raise CalibrationError(f"{path} must be an XML file of OpenCV (<opencv_storage>), found <{root.tag}>")
    return {child.tag: _xml_value(child) for child in root}


def _xml_value(node: ElementTree.Element) -> Any:
    if len(node):
        fields: dict[str, Any] = {child.tag: _xml_value(child) for child in node}
        if "data" in fields and not isinstance(fields["data"], list):
            fields["data"] = [fields["data"]]
        return fields
    words = (node.text or "").split()
    values = [word if (number := _number_from_text(word)) is None else number for word in words]
    return values[0] if len(values) == 1 else values
