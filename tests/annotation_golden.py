"""The formulas behind shared/golden/{msg3d,internet,triangulation}.npz: weights and inputs (its annotation.md)."""

import zlib

import numpy as np

GAIN = {
    "msg3d/fc.weight": 1.0,
    "internet/pose_net.joint_conv_1.0.weight": 60.0,
    "internet/pose_net.joint_conv_2.0.weight": 60.0,
    "internet/pose_net.root_fc.2.weight": 120.0,
    "internet/pose_net.hand_fc.2.weight": 60.0,
    "v2v/output_layer.weight": 0.001,
}
A101 = [(5, 17), (17, 18), (18, 19), (19, 4), (5, 14), (14, 15), (15, 16), (16, 3), (5, 11), (11, 12), (12, 13)]
A101 += [(13, 2), (5, 8), (8, 9), (9, 10), (10, 1), (5, 6), (6, 7), (7, 0), (6, 8), (8, 11), (11, 14), (14, 17)]


def rs(key):
    return np.random.RandomState(zlib.crc32(key.encode()) & 0xFFFFFFFF)


def weight(net, key, shape):
    r = rs(f"{net}/{key}")
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if key.endswith("running_var"):
        return np.float32(0.5 + r.uniform(size=shape))
    w = r.standard_normal(shape)
    if key.endswith(("running_mean", "bias")):
        w = 0.1 * w
    elif key.endswith("A_res"):
        w = 0.02 * w
    elif len(shape) == 1:
        w = (0.3 if key.endswith("bn3.weight") else 1.0) * (1.0 + 0.1 * w)
    else:
        kernel = int(np.prod(shape[2:]))
        if "deconv" in key or "upsample" in key:
            fan, axes = shape[0] * kernel / 2 ** (len(shape) - 2), (0, *range(2, len(shape)))
        else:
            fan, axes = shape[1] * kernel, tuple(range(1, len(shape)))
        if shape[1] != 3:
            w = w - w.mean(axis=axes, keepdims=True)
        w = np.sqrt(GAIN.get(f"{net}/{key}", 2.0) / fan) * w
    return np.float32(w)


def load(model, net):
    import torch

    state = {key: torch.from_numpy(weight(net, key, tuple(v.shape))) for key, v in model.state_dict().items()}
    model.load_state_dict(state)
    return model.eval()


def hands(name, n, t):
    r = rs(name)
    a = r.standard_normal((n, 3, 1, 21, 2))
    f = 0.05 + 0.35 * r.uniform(size=(n, 3, 1, 1, 2))
    p = 2 * np.pi * r.uniform(size=(n, 3, 1, 21, 2))
    e = r.standard_normal((n, 3, t, 21, 2))
    i = np.arange(t, dtype=float)[None, None, :, None, None]
    return np.float32(a + 0.6 * np.sin(f * i + p) + 0.1 * e)


def picture(name, h, w):
    r = rs(name)
    Y, X = np.arange(h)[:, None, None] / h, np.arange(w)[None, :, None] / w
    image = 118.0
    for _ in range(5):
        k, p = 12 * r.uniform(size=(2, 3)) - 6, 2 * np.pi * r.uniform(size=3)
        image = image + 22 * np.sin(2 * np.pi * (k[0] * X + k[1] * Y) + p)
    image = image + 14 * r.standard_normal((h, w, 3))
    return np.clip(np.floor(image + 0.5), 0, 255).astype(np.uint8)


def internet_targets():
    r = rs("internet/targets")
    return {
        "joint_coord": np.float32(72 * r.uniform(size=(2, 42, 3)) - 4),
        "joint_valid": np.float32(r.uniform(size=(2, 42)) < 0.8),
        "rel_root_depth": np.float32(64 * r.uniform(size=(2, 1))),
        "root_valid": np.float32([[0], [1]]),
        "hand_type": np.float32([[1, 0], [1, 1]]),
    }


def boxes():
    r = rs("internet/boxes")
    c = r.uniform(size=(24, 2)) * [636, 480]
    s = 20 + 260 * r.uniform(size=(24, 2)) ** 2
    return np.float32(np.floor(4 * np.concatenate([c - s / 2, s], 1)) / 4)


def affine_cases():
    r = rs("internet/affine")
    u = r.uniform(size=(12, 6))
    return {
        "centre": 50 + 500 * u[:, :2],
        "size": 60 + 300 * u[:, 2:4],
        "scale": 0.75 + 0.5 * u[:, 4],
        "rotation": np.where(np.arange(12) % 3, 180 * u[:, 5] - 90, 0.0),
    }


def rotation(r):
    q = r.standard_normal(4)
    a, b, c, d = q / np.sqrt((q * q).sum())
    return np.array(
        [
            [1 - 2 * (c * c + d * d), 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), 1 - 2 * (b * b + d * d), 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), 1 - 2 * (b * b + c * c)],
        ]
    )


def samples(n=4):
    r = rs("internet/samples")
    out = []
    for i in range(n):
        K = np.array([[190.0 + 4 * i, 0, 316.0 + i], [0, 191.0 + 4 * i, 238.0 - i], [0, 0, 1]])
        R, t = rotation(r), 300 * r.standard_normal(3)
        right, left = (middle + 38 * r.standard_normal((21, 3)) for middle in ([60, 20, 320], [-60, 10, 360]))
        cam = np.concatenate([right, left])
        px = cam[:, :2] / cam[:, 2:] * [K[0, 0], K[1, 1]] + [K[0, 2], K[1, 2]]
        box = [np.concatenate([px[s].min(0) - 9, px[s].max(0) + 9]) for s in (slice(0, 21), slice(21, 42))]
        if i == 1:
            box[0] = box[0] + [80, 0, 20, 0]
        if i == 2:
            box[1][0] = -60
        valid = r.uniform(size=42) < 0.9
        if i == 3:
            valid[:15] = False
        out.append(
            {
                "K": np.float32(K),
                "Rt": np.float32(np.concatenate([R, t[:, None]], 1)),
                "world": np.float32((cam - t) @ R),
                "valid": valid,
                "box": np.floor(4 * np.array(box)) / 4,
            }
        )
    return out


def predictions(n):
    r = rs("internet/prediction")
    return {
        "joint_coord": np.float32(r.randint(0, 64, (n, 42, 3))),
        "hand_type": np.float32(r.uniform(size=(n, 2))),
    }


def rig(name, n, size, focal, distance):
    r = rs(name)
    P = []
    for i in range(n):
        c = r.standard_normal(3)
        c = (distance[i] if np.ndim(distance) else distance) * c / np.sqrt((c * c).sum())
        z = 20 * r.standard_normal(3) - c
        z = z / np.sqrt((z * z).sum())
        x = np.cross([0.3, 1.0, 0.2], z)
        x = x / np.sqrt((x * x).sum())
        R = np.stack([x, np.cross(z, x), z])
        f = focal * (1 + 0.1 * r.standard_normal(2))
        middle = [size[1] / 2 + r.standard_normal(), size[0] / 2 + r.standard_normal()]
        P.append((np.array([[f[0], 0, middle[0]], [0, f[1], middle[1]], [0, 0, 1]]), R, -R @ c))
    return P


def projection(rigged):
    return np.stack([K @ np.concatenate([R, t[:, None]], 1) for K, R, t in rigged])


def project(P, X):
    h = np.einsum("vij,nj->vni", P[:, :, :3], X) + P[:, None, :, 3]
    return h[..., :2] / h[..., 2:]


def algebraic():
    P = projection(rig("tri/algebraic", 4, (480, 640), 500.0, 700.0))
    r = rs("tri/algebraic/points")
    X = 60 * r.standard_normal((21, 3))
    points = np.float32(project(P, X) + 2 * r.standard_normal((4, 21, 2)))
    return {"P": np.float32(P), "points": points, "confidence": np.float32(0.05 + 0.95 * r.uniform(size=(4, 21)))}


def algebraic_net():
    P = projection(rig("tri/net", 4, (96, 128), 110.0, 700.0))
    r = rs("tri/net/points")
    X = 60 * r.standard_normal((21, 3))
    k = project(P, X) / 4
    y, x = np.arange(24.0)[:, None], np.arange(32.0)[None]
    d = (x - k[..., 0, None, None]) ** 2 + (y - k[..., 1, None, None]) ** 2
    heatmap = np.float32(0.12 * np.exp(-d / 6) + 0.006 * r.standard_normal((4, 21, 24, 32)))
    return {"P": np.float32(P), "heatmap": heatmap, "confidence": np.float32(0.05 + 0.95 * r.uniform(size=(4, 21)))}


def ransac():
    P = projection(rig("tri/ransac", 5, (480, 640), 500.0, 700.0))
    r = rs("tri/ransac/points")
    X = 60 * r.standard_normal((8, 3))
    k = project(P, X) + 1.5 * r.standard_normal((5, 8, 2))
    k[np.arange(8) % 5, np.arange(8)] += 150 + 60 * r.uniform(size=(8, 2))
    return {"P": P, "points": k}


def unprojection(shape=(24, 24)):
    P = projection(rig("tri/volume", 4, shape, 30.0, (500.0, 450.0, 550.0, 90.0)))
    r = rs("tri/volume/features")
    g = np.stack(np.meshgrid(*[np.arange(16.0)] * 3, indexing="ij"), -1)
    grid = np.float32(-150 + 20 * g + [3, -5, 7])
    features = np.float32(2 * r.standard_normal((4, 4, *shape)))
    return {"P": np.float32(P), "grid": grid, "features": features, "confidence": np.float32(r.uniform(size=(4, 4)))}


def volume():
    r = rs("tri/v2v")
    g = np.arange(32.0) / 32
    v = np.zeros((32, 32, 32, 32))
    for c in range(32):
        k, p = 8 * r.uniform(size=(4, 3)) - 4, 2 * np.pi * r.uniform(size=4)
        for i in range(4):
            phase = k[i, 0] * g[:, None, None] + k[i, 1] * g[None, :, None] + k[i, 2] * g
            v[c] += np.sin(2 * np.pi * phase + p[i])
    return np.float32(v + 0.3 * r.standard_normal(v.shape))


def volumetric():
    r = rs("tri/full")
    rigged = rig("tri/full/rig", 4, (96, 96), 130.0, 500.0)
    features = np.float32(r.standard_normal((4, 256, 24, 24)))
    return {"rig": rigged, "features": features, "base": np.array([12.0, -8.0, 5.0]) + r.standard_normal(3)}


def keypoints():
    r = rs("tri/losses")
    pred, truth = (np.float32(60 * r.standard_normal((2, 21, 3))) for _ in range(2))
    return {"pred": pred, "truth": truth, "valid": np.float32(r.uniform(size=(2, 21, 1)) < 0.85)}
