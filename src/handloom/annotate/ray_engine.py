"""The same shards on a Ray cluster, whose machines all see the capture and the stages under the same paths."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from handloom.annotate.pool import Engine, Task
from handloom.errors import InputError, MissingDependencyError


def ray_engine(address: str | None = None) -> Engine:
    """A cluster, one shard per processor at a time; a shard whose worker or machine dies is done again by another.

    Args:
        address: of the cluster; by default that in RAY_ADDRESS, else one that runs on this machine, else a new one on
            this machine.

    Raises:
        MissingDependencyError: Ray, an extra, is not installed.
        InputError: there is no such cluster.
    """
    try:
        import ray
    except ImportError as failure:
        raise MissingDependencyError(
            f"--engine ray needs Ray ({failure}), on every machine of the cluster; install it with: "
            "pip install '.[ray]' in a clone of Handloom, or leave --engine out to use the cores of this machine"
        ) from failure
    if not ray.is_initialized():
        try:
            ray.init(address, include_dashboard=False, log_to_driver=False, logging_level="error")
        except (ConnectionError, ValueError, RuntimeError) as failure:
            raise InputError(
                f"there is no Ray cluster at {address or 'the address in RAY_ADDRESS'} ({failure}); start one with "
                "'ray start --head', or leave the address out"
            ) from failure

    def run(function: Callable[[Task], None], tasks: Sequence[Task]) -> Iterator[None]:
        # Ray lets a task with one processor do linear algebra in one thread, as the pool of processes does.
        remote: Any = ray.remote(num_cpus=1)(function)
        pending = [remote.remote(task) for task in tasks]
        try:
            for shard in pending:
                ray.get(shard)
                yield
        except ray.exceptions.RayTaskError as failure:
            raise failure.cause from None
        finally:
            for shard in pending:
                ray.cancel(shard)

    return run
