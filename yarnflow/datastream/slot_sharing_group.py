"""Which operators may share a slot, and the resources that programs may name for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["MemorySize", "SlotSharingGroup"]


@dataclass(frozen=True, order=True)
class MemorySize:
    """An amount of memory.

    >>> MemorySize.of_mebi_bytes(2048).get_gibi_bytes()
    2
    """

    bytes_size: int

    @staticmethod
    def of_mebi_bytes(mebi_bytes: int) -> MemorySize:
        """So many MiB."""
        return MemorySize(mebi_bytes << 20)

    def get_bytes(self) -> int:
        """In bytes."""
        return self.bytes_size

    def get_kibi_bytes(self) -> int:
        """In whole KiB."""
        return self.bytes_size >> 10

    def get_mebi_bytes(self) -> int:
        """In whole MiB."""
        return self.bytes_size >> 20

    def get_gibi_bytes(self) -> int:
        """In whole GiB."""
        return self.bytes_size >> 30

    def get_tebi_bytes(self) -> int:
        """In whole TiB."""
        return self.bytes_size >> 40

    def __str__(self) -> str:
        return f"{self.bytes_size} bytes"


@dataclass(frozen=True)
class SlotSharingGroup:
    """A named group: subtasks of its operators may share slots with each other, and with no others.

    Resources are kept for programs that name them, and have no effect: every slot has an equal share of its
    TaskManager. A program that uses a group with resources gets a warning.

    >>> SlotSharingGroup.builder("heavy").set_cpu_cores(2.0).build().get_name()
    'heavy'
    """

    name: str
    cpu_cores: float | None = None
    task_heap_memory: MemorySize | None = None
    task_off_heap_memory: MemorySize | None = None
    managed_memory: MemorySize | None = None
    external_resources: tuple[tuple[str, float], ...] = ()

    def get_name(self) -> str:
        """The name."""
        return self.name

    def get_cpu_cores(self) -> float | None:
        """Cores, None if not named."""
        return self.cpu_cores

    def get_task_heap_memory(self) -> MemorySize | None:
        """Memory of user code, None if not named."""
        return self.task_heap_memory

    def get_task_off_heap_memory(self) -> MemorySize | None:
        """Further memory of user code, None if not named."""
        return self.task_off_heap_memory

    def get_managed_memory(self) -> MemorySize | None:
        """Memory of state, None if not named."""
        return self.managed_memory

    def get_external_resources(self) -> dict[str, float]:
        """Amounts of other resources by name."""
        return dict(self.external_resources)

    @property
    def names_resources(self) -> bool:
        """Whether more than the name was given."""
        return self != SlotSharingGroup(self.name)

    @staticmethod
    def builder(name: str) -> Builder:
        """Begin a group of that name."""
        return Builder(SlotSharingGroup(name))


class Builder:
    """Builds a SlotSharingGroup; every method but `build` returns the builder."""

    def __init__(self, group: SlotSharingGroup) -> None:
        self._group = group

    def set_cpu_cores(self, cpu_cores: float) -> Builder:
        """Name a number of cores."""
        self._group = replace(self._group, cpu_cores=cpu_cores)
        return self

    def set_task_heap_memory(self, task_heap_memory: MemorySize) -> Builder:
        """Name the memory of user code."""
        self._group = replace(self._group, task_heap_memory=task_heap_memory)
        return self

    def set_task_heap_memory_mb(self, task_heap_memory_mb: int) -> Builder:
        """Name the memory of user code in MiB."""
        return self.set_task_heap_memory(MemorySize.of_mebi_bytes(task_heap_memory_mb))

    def set_task_off_heap_memory(self, task_off_heap_memory: MemorySize) -> Builder:
        """Name the further memory of user code."""
        self._group = replace(self._group, task_off_heap_memory=task_off_heap_memory)
        return self

    def set_task_off_heap_memory_mb(self, task_off_heap_memory_mb: int) -> Builder:
        """Name the further memory of user code in MiB."""
        return self.set_task_off_heap_memory(MemorySize.of_mebi_bytes(task_off_heap_memory_mb))

    def set_managed_memory(self, managed_memory: MemorySize) -> Builder:
        """Name the memory of state."""
        self._group = replace(self._group, managed_memory=managed_memory)
        return self

    def set_managed_memory_mb(self, managed_memory_mb: int) -> Builder:
        """Name the memory of state in MiB."""
        return self.set_managed_memory(MemorySize.of_mebi_bytes(managed_memory_mb))

    def set_external_resource(self, name: str, value: float) -> Builder:
        """Name an amount of another resource."""
        resources = {**self._group.get_external_resources(), name: value}
        self._group = replace(self._group, external_resources=tuple(resources.items()))
        return self

    def build(self) -> SlotSharingGroup:
        """The group."""
        return self._group
