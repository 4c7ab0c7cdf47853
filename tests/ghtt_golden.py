"""The formulas behind shared/golden/ghtt.npz: weights, hands, embeddings, samples (its sections 1 and 4)."""

import zlib
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden" / "ghtt.npz"


def rng(key):
    return np.random.RandomState(zlib.crc32(key.encode()) & 0xFFFFFFFF)


def pe_table(d, n=5000):
    f = np.exp(np.arange(0, d, 2) * (-np.log(10000.0) / d))
    a = np.arange(n)[:, None] * f
    return np.float32(np.stack([np.sin(a), np.cos(a)], -1).reshape(1, n, d))


GAIN = {"token_out_to_pose.mlp.4.weight": 0.05, "bert_to_latent.weight": 512.0}


def weight(model, key, shape):
    if key.endswith("pe.pe"):
        return pe_table(shape[-1], shape[1])
    w = rng(model + ":" + key).standard_normal(shape)
    if key == "token_out_to_pose.mlp.4.bias":
        w = 0.5 * w
        w[126:] *= 0.04
        w[[126, 130, 135, 139, 144, 148]] += 1.0
    elif key == "placeholder_joints":
        w = 0.5 * w
    elif key.endswith("bias"):
        w = 0.1 * w
    elif len(shape) == 1:
        w = 1.0 + 0.1 * w
    elif len(shape) == 2:
        w = np.sqrt(GAIN.get(key, 1.0) / shape[1]) * w
    return np.float32(w)


MCP = np.array([[25, -5, 30], [88, 6, 22], [92, 8, 0], [84, 5, -20], [72, 0, -38]]) / 1000.0
DIR = np.array([[70, -20, 70], [98, 0, 12], [100, 0, 0], [98, 0, -10], [92, 0, -25]]) / 100.0
LEN = np.array([[38, 32, 26], [42, 26, 22], [46, 30, 24], [42, 28, 24], [33, 21, 20]]) / 1000.0
SIDE = {"left": 1.0, "right": -1.0}


def template(tag):
    p = np.zeros((5, 3))
    p[1:] = 1.07 * MCP[1:] + 0.002 * rng(f"template_{tag}").standard_normal((4, 3))
    return p * [SIDE[tag], 1, 1]


def rotation(v):
    a = np.linalg.norm(v, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(v / a[..., 0], -1, 0)
    o = np.zeros_like(x)
    K = np.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape((*v.shape[:-1], 3, 3))
    return np.eye(3) + np.sin(a) * K + (1 - np.cos(a)) * (K @ K)


def hand(tag, T=64):
    r = rng("hand_" + tag)
    t = np.arange(T)[:, None] / 30.0

    def wave(n, lo, hi):
        return np.sin(2 * np.pi * (r.uniform(lo, hi, n) * t + r.uniform(0, 1, n)))

    bend = 0.35 + 0.3 * wave(5, 0.3, 0.9)
    p = np.zeros((T, 21, 3))
    for f in range(5):
        d = DIR[f] / np.linalg.norm(DIR[f])
        p[:, 1 + 4 * f] = MCP[f]
        for k in range(3):
            th = (k + 1) * bend[:, f : f + 1]
            p[:, 2 + 4 * f + k] = p[:, 1 + 4 * f + k] + LEN[f, k] * (np.cos(th) * d - np.sin(th) * [0.0, 1.0, 0.0])
    p = p + 0.0015 * wave(63, 0.5, 2.0).reshape(T, 21, 3)
    p = p * (1 + 0.03 * wave(1, 0.2, 0.5))[..., None] * [SIDE[tag], 1, 1]
    R = rotation(0.5 * r.standard_normal(3) + 0.6 * wave(3, 0.2, 0.6))
    c = [-0.12 * SIDE[tag], 0.05, 0.45] + 0.12 * wave(3, 0.2, 0.6)
    return np.float32(np.einsum("tji,tik->tjk", p, R) + c[:, None])


def estimate(tag, T=64):
    n = rng("estimate_" + tag).standard_normal((T + 1, 21, 3))
    return np.float32(hand(tag, T) * 1.02 + 0.004 * n[:T] + 0.01 * n[T:, :1])


def mids(name, shape):
    return np.float32(rng("mid_" + name).standard_normal(shape))


def embedding(kind, i):
    e = rng(f"embedding_{kind}_{i}").standard_normal(512)
    return np.float32(e / np.linalg.norm(e))


def samples(space, n=20, T=48):
    g = np.concatenate([hand("left")[16 : 16 + T], hand("right")[16 : 16 + T]], 1).astype(np.float64)
    r = rng("samples_" + space)
    a = r.standard_normal((2, n, 1, 42, 3))
    b = r.standard_normal((2, n, T, 42, 3))
    grow = (np.arange(T) / T)[:, None, None]
    return np.float32(g + 0.02 * grow * a + 0.003 * b)


def features(name, n, d=32):
    r = rng("fid_" + name)
    A = r.standard_normal((d, d)) / np.sqrt(d)
    return r.standard_normal((n, d)) @ A + 0.5 * r.standard_normal(d)


def a_inputs():
    obsv_valid, pred_valid = np.zeros((2, 16), int), np.zeros((2, 16), int)
    obsv_valid[0], obsv_valid[1, :5], pred_valid[0], pred_valid[1, :3] = 1, 1, 1, 1
    obsv_phase = np.arange(16) + np.array([[0], [2]])
    pred_phase = np.arange(16) + np.array([[16], [7]])
    obj = np.stack([[embedding("object", (i // 3 + 2 * n) % 6) for i in range(16)] for n in range(2)])
    return {
        "mid": mids("observed", (2, 16, 512)),
        "object": obj,
        "obsv_valid": obsv_valid,
        "obsv_phase": obsv_phase,
        "future_mid": mids("future", (2, 17, 512))[:, :16],
        "pred_valid": pred_valid,
        "pred_phase": pred_phase,
        "taxonomy": np.stack([embedding("action", i) for i in range(12)]),
        "action": np.array([3, 8]),
    }


def hands(of=hand):
    """Both hands as (64, 2, 21, 3), the float32 numbers in double precision."""
    return np.stack([of("left"), of("right")], 1).astype(np.float64)


def templates():
    return np.stack([template("left"), template("right")])


def golden():
    return np.load(GOLDEN)


POSE_NAMES = {
    "mid_token_mu_enc_in": "vae.mean_token",
    "mid_token_logvar_enc_in": "vae.log_variance_token",
    "placeholder_joints": "embedding.placeholder",
    "pose3d_to_trsfm_in.": "embedding.joints.",
    "globalRt_to_trsfm_in.": "embedding.motion.",
    "localL2R_to_trsfm_in.": "embedding.pair.",
    "token_out_to_pose.mlp.": "head.",
    "bert_to_latent.": "label_in.",
    "encoder.encoder.": "vae.encoder.",
    "decoder.decoder.": "vae.decoder.",
}


def our_weights(model):
    """Formula weights of `P`, `p64`, `A` or `a2` under our names; attention's stacked projections are split."""
    shapes = dict(_shapes(model))
    weights = {}
    for key, shape in shapes.items():
        value = weight(model, key, shape)
        prefix = next(prefix for prefix in POSE_NAMES if key.startswith(prefix))
        name = POSE_NAMES[prefix] + key.removeprefix(prefix)
        base, _, kind = name.rpartition("in_proj_")
        if base.endswith("self_attn."):
            base, split = base.removesuffix("self_attn."), 2 * len(value) // 3
            weights[f"{base}queries_keys.{kind}"], weights[f"{base}values.{kind}"] = value[:split], value[split:]
        elif base:
            base = base.replace("multihead_attn.", "cross.")
            for part, rows in zip(("queries", "keys", "values"), np.split(value, 3)):
                weights[f"{base}{part}.{kind}"] = rows
        else:
            weights[name.replace("self_attn.out_proj", "out").replace("multihead_attn.out_proj", "cross.out")] = value
    return weights


def _shapes(model):
    dim, feedforward = {"P": (512, 2048), "p64": (64, 128), "A": (512, 2048), "a2": (512, 256)}[model]
    square = {"self_attn.in_proj": (3 * dim, dim), "self_attn.out_proj": (dim, dim)}
    square |= {"multihead_attn.in_proj": (3 * dim, dim), "multihead_attn.out_proj": (dim, dim)}
    square |= {"linear1": (feedforward, dim), "linear2": (dim, feedforward)}
    square |= {"pose3d_to_trsfm_in": (dim // 2, 126), "globalRt_to_trsfm_in": (dim // 4, 18)}
    square |= {"localL2R_to_trsfm_in": (dim // 4, 9), "bert_to_latent": (512, 512)}
    square |= {"mlp.0": (dim, dim), "mlp.2": (dim, dim), "mlp.4": (153, dim)}
    for key in golden()[f"check_key_{model}"]:
        name = str(key).split(":")[1]
        if "norm" in name:
            yield name, (dim,)
        elif "token_mu" in name or "token_logvar" in name:
            yield name, (1, 1, dim)
        elif name == "placeholder_joints":
            yield name, (1, 42, 3)
        else:
            outputs, inputs = next(size for part, size in square.items() if part in name)
            yield name, (outputs, inputs) if name.endswith("weight") else (outputs,)
