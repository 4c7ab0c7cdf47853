"""Cameras, transforms, alignment, crops, triangulation, lifting: one implementation for NumPy and Torch."""

from handloom.geometry.alignment import Alignment, align_rigid, align_similarity, align_wrist
from handloom.geometry.brown_conrady import BrownConrady
from handloom.geometry.cameras import Camera, Pinhole
from handloom.geometry.crops import Crops, crop_boxes, crop_keypoints
from handloom.geometry.dlt import triangulate_dlt
from handloom.geometry.double_sphere import DoubleSphere
from handloom.geometry.fisheye import KannalaBrandt, OVFishEye62
from handloom.geometry.lifting import Lifting, lift, lift_keypoints
from handloom.geometry.transforms import (
    apply_rigid,
    invert_rigid,
    rigid,
    rotation_from_vector,
    vector_from_rotation,
)
from handloom.geometry.triangulation import Robust, Triangulation, triangulate

__all__ = [
    "Alignment",
    "BrownConrady",
    "Camera",
    "Crops",
    "DoubleSphere",
    "KannalaBrandt",
    "Lifting",
    "OVFishEye62",
    "Pinhole",
    "Robust",
    "Triangulation",
    "align_rigid",
    "align_similarity",
    "align_wrist",
    "apply_rigid",
    "crop_boxes",
    "crop_keypoints",
    "invert_rigid",
    "lift",
    "lift_keypoints",
    "rigid",
    "rotation_from_vector",
    "triangulate",
    "triangulate_dlt",
    "vector_from_rotation",
]
