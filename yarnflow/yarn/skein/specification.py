"""From our description of an application to skein's."""

from __future__ import annotations

from typing import Any

from yarnflow.yarn.application import AccessList, ApplicationSpecification, ContainerFile, ProcessSpecification
from yarnflow.yarn.layout import WORKER_SERVICE
from yarnflow.yarn.skein import skein
from yarnflow.yarn.skein.credentials import Credentials

#: YARN's queue for those who name none.
_DEFAULT_QUEUE = "default"


def to_skein(specification: ApplicationSpecification, credentials: Credentials) -> Any:
    """Return a skein.ApplicationSpec.

    A worker that ends never ends the application, and skein never starts it again (`allow_failures`,
    `max_restarts=0`): what happens then is the JobManager's decision.
    """
    worker = specification.worker
    service = skein().Service(
        resources=_resources(worker),
        script=worker.script,
        instances=specification.initial_workers,
        files=_files(worker),
        env=dict(worker.env),
        max_restarts=0,
        allow_failures=True,
        node_label=worker.node_label or specification.node_label,
    )
    master = specification.master
    return skein().ApplicationSpec(
        name=specification.name,
        queue=specification.queue or _DEFAULT_QUEUE,
        services={WORKER_SERVICE: service},
        master=skein().Master(
            resources=_resources(master),
            script=master.script,
            files=_files(master),
            env=dict(master.env),
            security=credentials.to_skein(),
        ),
        node_label=specification.node_label,
        tags=set(specification.tags),
        file_systems=list(specification.file_systems),
        acls=_acls(specification.view, specification.modify),
        max_attempts=specification.max_attempts,
    )


def _resources(process: ProcessSpecification) -> Any:
    return skein().Resources(memory=f"{process.memory_mb} MiB", vcores=process.vcores)


def _files(process: ProcessSpecification) -> dict[str, Any]:
    return {name: _file(file) for name, file in process.files.items()}


def _file(file: ContainerFile) -> Any:
    return skein().File(
        source=file.source,
        type="ARCHIVE" if file.archive else "FILE",
        visibility="PRIVATE" if file.shared else "APPLICATION",
    )


def _acls(view: AccessList | None, modify: AccessList | None) -> Any:
    if view is None and modify is None:
        return skein().ACLs()
    view, modify = view or AccessList(), modify or AccessList()
    return skein().ACLs(
        enable=True,
        view_users=list(view.users),
        view_groups=list(view.groups),
        modify_users=list(modify.users),
        modify_groups=list(modify.groups),
        # skein's own pages, which lead to ours, are for those who may view.
        ui_users=list(view.users),
    )
