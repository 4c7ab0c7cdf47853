"""A short text that tells one store from another."""

import hashlib

from handloom.datasets.store import Store
from handloom.datasets.store_write import HANDLOOM, INFO


def store_digest(store: Store) -> str:
    """What tells one store from another: what it says about itself, and of which recordings it is made."""
    digest = hashlib.sha256()
    for name in (INFO, HANDLOOM):
        digest.update((store.root / name).read_bytes())
    shards = store.root / "meta" / "shards.json"
    digest.update(shards.read_bytes() if shards.is_file() else b"")
    for recording in store.recordings:
        digest.update(f"{recording.name} {recording.split} {recording.length}".encode())
    return digest.hexdigest()[:16]
