"""The formulas behind shared/golden/htt-fpha.npz: weights, pictures and labels (its README, sections 1 to 3)."""

import zlib

import numpy as np

GAIN = {
    "image_to_hand_pose.mlp.4.weight": 1.5,
    "obj_classification.classifier.weight": 5.0,
    "action_classification.classifier.weight": 6.0,
    "hand_pose3d_to_action_input.weight": 4.0,
    "olabel_to_action_input.weight": 8.0,
}
FPHA_K = np.array([[1395.749023 * 0.25, 0, 935.732544 * 0.25], [0, 1395.749268 * 0.25, 540.681030 * 0.25], [0, 0, 1]])


def weight(key, shape):
    r = np.random.RandomState(zlib.crc32(key.encode()) & 0xFFFFFFFF)
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if key.endswith("running_var"):
        return np.float32(0.5 + r.uniform(size=shape))
    w = r.standard_normal(shape)
    if key.endswith(("running_mean", "bias")):
        w = 0.1 * w
    elif key != "action_token" and len(shape) == 1:
        w = 1.0 + 0.1 * w
    elif len(shape) == 4:
        fan = shape[1] * shape[2] * shape[3]
        if shape[1] != 3:
            w = w - w.mean(axis=(1, 2, 3), keepdims=True)
        w = np.sqrt(2.0 / fan) * w
    elif len(shape) == 2:
        w = np.sqrt(GAIN.get(key, 1.0) / shape[1]) * w
    return np.float32(w)


def table(length=5000, dim=512):
    rate = 10000 ** (-np.arange(0, dim, 2) / dim)
    angle = np.arange(length)[:, None] * rate
    return np.float32(np.stack([np.sin(angle), np.cos(angle)], -1).reshape(1, length, dim))


def released_shapes(joints=21, objects=26, actions=45):
    """Names and shapes of the released state dictionary."""
    shapes = {"action_token": (1, 1, 512), "transformer_pe.pe": (1, 5000, 512)}

    def norm(name, width):
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)

    def linear(name, outputs, inputs):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outputs, inputs), (outputs,)

    def batch_norm(name, width):
        norm(name, width)
        shapes[f"{name}.running_mean"] = shapes[f"{name}.running_var"] = (width,)
        shapes[f"{name}.num_batches_tracked"] = ()

    base = "meshregnet.base_net"
    shapes[f"{base}.conv1.weight"] = (64, 3, 7, 7)
    batch_norm(f"{base}.bn1", 64)
    inputs = 64
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            name = f"{base}.layer{stage}.{block}"
            shapes[f"{name}.conv1.weight"], shapes[f"{name}.conv2.weight"] = (width, inputs, 3, 3), (width, width, 3, 3)
            batch_norm(f"{name}.bn1", width)
            batch_norm(f"{name}.bn2", width)
            if inputs != width:
                shapes[f"{name}.downsample.0.weight"] = (width, inputs, 1, 1)
                batch_norm(f"{name}.downsample.1", width)
            inputs = width
    linear(f"{base}.fc", 1000, 512)
    for block in ("transformer_pose", "transformer_action"):
        for layer in range(2):
            name = f"{block}.encoder.layers.{layer}"
            shapes[f"{name}.self_attn.in_proj_weight"], shapes[f"{name}.self_attn.in_proj_bias"] = (1536, 512), (1536,)
            linear(f"{name}.self_attn.out_proj", 512, 512)
            linear(f"{name}.linear1", 2048, 512)
            linear(f"{name}.linear2", 512, 2048)
            norm(f"{name}.norm1", 512)
            norm(f"{name}.norm2", 512)
        norm(f"{block}.encoder.norm", 512)
    linear("image_to_hand_pose.mlp.0", 512, 512)
    linear("image_to_hand_pose.mlp.2", 512, 512)
    linear("image_to_hand_pose.mlp.4", 3 * joints, 512)
    linear("image_to_olabel_embed", 512, 512)
    linear("obj_classification.classifier", objects, 512)
    linear("hand_pose3d_to_action_input", 512, 2 * joints)
    linear("olabel_to_action_input", 512, objects)
    linear("concat_to_action_input", 512, 1536)
    linear("action_classification.classifier", actions, 512)
    return shapes


def released_weights(**counts):
    return {
        key: table() if key == "transformer_pe.pe" else weight(key, shape)
        for key, shape in released_shapes(**counts).items()
    }


def frame(n):
    R = np.random.RandomState(1000 + n).randint(-64, 65, (270, 480, 3))
    X = np.arange(480.0)[None, :, None] / 480
    Y = np.arange(270.0)[:, None, None] / 270
    c = np.arange(3.0)
    m = 128 + 80 * np.sin(0.83 * n + 0.7 * c)
    p = 40 * (1 + np.sin(0.41 * n + c))
    q = 90 * np.cos(1.7 * n + 2.1 * c)
    s = 0.5 + 0.5 * np.sin(0.67 * n)
    kx, ky = 12 + 11 * np.sin(0.31 * n), 9 + 8 * np.cos(0.53 * n)
    bx, by = 0.5 + 0.4 * np.sin(0.071 * n), 0.5 + 0.4 * np.cos(0.097 * n)
    wave = p * np.sin(2 * np.pi * (kx * X + ky * Y) + 0.19 * n + c)
    spot = q * np.exp(-((X - bx) ** 2 + (Y - by) ** 2) / 0.03)
    return np.clip(np.floor(m + wave + spot + s * R + 0.5), 0, 255).astype(np.uint8)


def case(which, joints=21, objects=26, actions=45):
    i, K = np.arange(128), FPHA_K.copy()
    s = i if which == "a" else np.minimum(i, 76)
    if which == "b":
        K[0, 2] -= 17
        K[1, 2] += 9
    image = [frame(k) if which == "a" else frame(128 + k) // 2 + 127 for k in range(s[-1] + 1)]
    r = np.random.RandomState(4001 if which == "a" else 4002)
    u = 480 * r.uniform(size=(128, joints))[s]
    v = 270 * r.uniform(size=(128, joints))[s]
    z = (0.25 + 0.45 * r.uniform(size=(128, joints)))[s]
    x, y = (u - K[0, 2]) * z / K[0, 0], (v - K[1, 2]) * z / K[1, 1]
    return {
        "image": np.stack(image)[s],
        "K": np.float32(K),
        "valid": i == s,
        "uvz": np.float32(np.stack([u, v, z], -1)),
        "xyz": np.float32(np.stack([x, y, z], -1)),
        "object": (3 + s // 8) % objects,
        "action": ((7 if which == "a" else 11) + s) % actions,
    }
