"""A client of the ResourceManager's REST API: no JVM, a few milliseconds per question.

Addresses come from yarn-site.xml; of a highly available pair the one that answers as active is used. On a cluster
with Kerberos requests are authenticated by SPNEGO. https://hadoop.apache.org/docs/stable/hadoop-yarn/
hadoop-yarn-site/ResourceManagerRest.html
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests

from yarnflow.errors import (
    ApplicationNotFoundError,
    ClusterError,
    ClusterUnreachableError,
    MissingDependencyError,
)
from yarnflow.yarn.application import ApplicationReport, ApplicationState
from yarnflow.yarn.hadoop_conf import HadoopConf, hadoop_user

#: Seconds to connect, and to wait for an answer.
TIMEOUT = (5.0, 20.0)


@dataclass(frozen=True)
class Queue:
    """A queue that applications can be submitted to (or not: `state` is then not RUNNING)."""

    name: str
    path: str
    state: str


@dataclass(frozen=True)
class Size:
    """Memory and cores of a container or node."""

    memory_mb: int
    vcores: int


@dataclass(frozen=True)
class Node:
    """A NodeManager: what it offers and what is taken."""

    node_id: str
    total: Size
    used: Size


class ResourceManagerClient:
    """Asks the ResourceManager.

    Args:
        conf: where it is, and whether it wants Kerberos.
        timeout: seconds to connect and to wait for an answer.

    Raises:
        MissingDependencyError: the cluster is secure and requests-kerberos is not installed.
    """

    def __init__(self, conf: HadoopConf, timeout: tuple[float, float] = TIMEOUT) -> None:
        self._addresses = list(conf.web_addresses())
        self._secure = conf.web_secure
        self._timeout = timeout
        self._session = requests.Session()
        # Proxies of the environment are for the internet, not for the cluster.
        self._session.trust_env = False
        # That would ignore the variable for a private certificate authority as well.
        self._session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
        self._session.headers["Accept"] = "application/json"
        if self._secure:
            self._session.auth = _spnego()

    def close(self) -> None:
        """Close connections."""
        self._session.close()

    def __enter__(self) -> ResourceManagerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- applications ------------------------------------------------------------------------------------

    def application(self, application_id: str) -> ApplicationReport:
        """The report of one application.

        Raises:
            ApplicationNotFoundError: YARN has never heard of it, or has forgotten it.
            ClusterUnreachableError: no ResourceManager answers.
        """
        answer = self._get(f"/ws/v1/cluster/apps/{application_id}", missing=application_id)
        return _report(answer["app"])

    def applications(self, *states: ApplicationState, tag: str = "", user: str = "") -> list[ApplicationReport]:
        """Applications in one of `states` (all when none is given), oldest first."""
        params = {
            "states": ",".join(state.value for state in states),
            "applicationTags": tag,
            "user": user,
        }
        answer = self._get("/ws/v1/cluster/apps", {key: value for key, value in params.items() if value})
        found = [_report(app) for app in (answer.get("apps") or {}).get("app", ())]
        return sorted(found, key=lambda report: report.application_id)

    def kill(self, application_id: str) -> None:
        """Kill an application; returns when YARN has accepted that. A no-op for one that has ended.

        Raises:
            ApplicationNotFoundError, ClusterUnreachableError: as `application`.
            ClusterError: YARN refuses, for example because it is another user's.
        """
        path = f"/ws/v1/cluster/apps/{application_id}/state"
        answer = self._request("PUT", path, json={"state": "KILLED"})
        if answer.status_code == 404:
            raise ApplicationNotFoundError(f"YARN knows no application {application_id}")
        if answer.status_code >= 400:
            raise ClusterError(f"YARN does not kill {application_id}: {_reason(answer)}")

    # -- what the cluster offers -------------------------------------------------------------------------

    def queues(self) -> list[Queue]:
        """All queues that take applications, whatever the scheduler. Empty when it has none (Fifo)."""
        info = self._get("/ws/v1/cluster/scheduler")["scheduler"]["schedulerInfo"]
        root = info.get("rootQueue", info)
        return list(_leaves(root)) if _children(root) else []

    def maximum_allocation(self) -> Size | None:
        """The largest container the scheduler grants, or None when the ResourceManager does not tell."""
        values = []
        for resource in ("mb", "vcores"):
            name = f"yarn.scheduler.maximum-allocation-{resource}"
            answer = self._request("GET", "/conf", params={"name": name, "format": "json"})
            try:
                values.append(int(answer.json()["property"]["value"]))
            except (ValueError, KeyError, TypeError):
                # /conf is for administrators on some clusters, and older versions know no `name`.
                return None
        return Size(*values)

    def largest_node(self) -> Size | None:
        """The most memory and the most cores that any running node has; None when there is none."""
        nodes = self.nodes()
        if not nodes:
            return None
        return Size(max(node.total.memory_mb for node in nodes), max(node.total.vcores for node in nodes))

    def nodes(self) -> list[Node]:
        """Running nodes."""
        found = (self._get("/ws/v1/cluster/nodes", {"states": "RUNNING"}).get("nodes") or {}).get("node", ())
        result = []
        for node in found:
            used = Size(int(node["usedMemoryMB"]), int(node["usedVirtualCores"]))
            free = Size(int(node["availMemoryMB"]), int(node["availableVirtualCores"]))
            total = Size(used.memory_mb + free.memory_mb, used.vcores + free.vcores)
            result.append(Node(str(node["id"]), total, used))
        return result

    # -- requests ----------------------------------------------------------------------------------------

    def fetch(self, url: str, params: dict[str, str] | None = None) -> requests.Response | None:
        """GET any page of the cluster (a NodeManager's logs), authenticated; None when nobody answers."""
        try:
            return self._session.get(url, params=self._parameters(params), timeout=self._timeout)
        except requests.RequestException:
            return None

    def _get(self, path: str, params: dict[str, str] | None = None, missing: str = "") -> Any:
        answer = self._request("GET", path, params=params)
        if answer.status_code == 404 and missing:
            raise ApplicationNotFoundError(
                f"YARN knows no application {missing}: `yarn application -list` shows those it knows"
            )
        if answer.status_code == 400 and missing:
            raise ApplicationNotFoundError(f"{missing!r} is not the id of a YARN application")
        if answer.status_code >= 400:
            raise ClusterError(f"the ResourceManager refuses {answer.url}: {_reason(answer)}")
        try:
            return answer.json()
        except ValueError as error:
            raise ClusterError(
                f"{answer.url} does not answer as a ResourceManager: check the address in yarn-site.xml"
            ) from error

    def _parameters(self, params: dict[str, str] | None) -> dict[str, str]:
        return dict(params or {}) if self._secure else {"user.name": hadoop_user(), **(params or {})}

    def _request(
        self, method: str, path: str, params: dict[str, str] | None = None, json: Any = None
    ) -> requests.Response:
        problems = []
        for address in list(self._addresses):
            try:
                answer = self._session.request(
                    method, address + path, params=self._parameters(params), json=json, timeout=self._timeout
                )
            except requests.RequestException as error:
                problems.append(f"{address} ({_cause(error)})")
                continue
            if answer.status_code == 401:
                raise ClusterError(
                    f"{address} wants a Kerberos login: run kinit, or set security.kerberos.login.keytab"
                )
            if "This is standby RM" in answer.text[:200]:
                problems.append(f"{address} (standby)")
                continue
            if answer.status_code in (502, 503):
                problems.append(f"{address} ({answer.status_code} {answer.reason})")
                continue
            # The next question goes to the one that answered.
            self._addresses.remove(address)
            self._addresses.insert(0, address)
            return answer
        raise ClusterUnreachableError(
            f"no ResourceManager answers: tried {', '.join(problems)}. Check that YARN runs and that "
            "HADOOP_CONF_DIR leads to its yarn-site.xml"
        )


def _spnego() -> Any:
    try:
        # Not at the top: an extra that only clusters with Kerberos need.
        from requests_kerberos import OPTIONAL, HTTPKerberosAuth
    except ImportError as error:
        raise MissingDependencyError(
            "requests-kerberos", "kerberos", "the ResourceManager of a cluster with Kerberos"
        ) from error
    return HTTPKerberosAuth(mutual_authentication=OPTIONAL)


def _report(app: dict[str, Any]) -> ApplicationReport:
    logs = str(app.get("amContainerLogs") or "")
    return ApplicationReport(
        application_id=str(app["id"]),
        name=str(app.get("name", "")),
        user=str(app.get("user", "")),
        queue=str(app.get("queue", "")),
        # FINISHING and the like are stages inside the ResourceManager that only its REST API shows.
        state=_state(str(app["state"])),
        final_status=str(app.get("finalStatus", "UNDEFINED")),
        diagnostics=str(app.get("diagnostics") or "").strip(),
        tracking_url=str(app.get("trackingUrl") or ""),
        tags=frozenset(filter(None, str(app.get("applicationTags") or "").split(","))),
        rpc_address=_address(str(app.get("amRPCAddress") or "")),
        started_ms=int(app.get("startedTime", 0)),
        finished_ms=int(app.get("finishedTime", 0)),
        master_node=str(app.get("amHostHttpAddress") or ""),
        master_container=logs.split("/containerlogs/")[1].split("/")[0] if "/containerlogs/" in logs else "",
    )


def _address(text: str) -> str:
    """The RM shows `host:port`, and `N/A:-1` or so before there is one."""
    return text if text.rpartition(":")[2].isdigit() and text.rpartition(":")[2] != "0" else ""


def _state(name: str) -> ApplicationState:
    try:
        return ApplicationState(name)
    except ValueError:
        return ApplicationState.RUNNING


def _children(queue: dict[str, Any]) -> list[dict[str, Any]]:
    below = (queue.get("queues") or {}).get("queue") or (queue.get("childQueues") or {}).get("queue") or []
    return list(below) if isinstance(below, list) else [below]


def _leaves(queue: dict[str, Any]) -> Iterator[Queue]:
    children = _children(queue)
    for child in children:
        yield from _leaves(child)
    if not children:
        # The FairScheduler has no states and gives whole paths as names.
        name = str(queue["queueName"])
        yield Queue(name.rpartition(".")[2], str(queue.get("queuePath", name)), str(queue.get("state", "RUNNING")))


def _reason(answer: requests.Response) -> str:
    try:
        return str(answer.json()["RemoteException"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.reason}"


def _cause(error: BaseException) -> str:
    """The innermost reason, without the layers of requests and urllib3 around it."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    seen: BaseException = error
    while (inner := getattr(seen, "reason", None) or (seen.args[0] if seen.args else None)) is not None:
        if not isinstance(inner, BaseException):
            break
        seen = inner
    text = str(seen)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "its certificate is not trusted: name the authority's file in REQUESTS_CA_BUNDLE"
    if "Connection refused" in text:
        return "connection refused"
    if "resolve" in text or "Name or service" in text:
        return "unknown host"
    return text or type(seen).__name__
