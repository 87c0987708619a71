"""DevCluster: starts, shows and stops one devcluster.

    with a folder:   cluster = DevCluster(Path("/some/folder"), nodes=2)
    bring it up:     cluster.start(print)
    use it:          os.environ.update(cluster.env()); cluster.hdfs_uri; cluster.rm_web_address
    hurt it:         cluster.stop_node(1, abrupt=True); cluster.start_node(1)
    end it:          cluster.stop()

All daemons start at once and are then asked whether they work. Several processes may use one folder: a lock
file lets one of them change it at a time.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from yarnflow.devcluster import (
    daemons,
    hadoop_conf,
    hdfs,
    jars,
    launchers,
    logs,
    ports,
    processes,
    readiness,
    toolchain,
)
from yarnflow.devcluster.daemons import Daemon
from yarnflow.devcluster.locking import locked
from yarnflow.devcluster.processes import ProcessId
from yarnflow.devcluster.settings import Settings, Site
from yarnflow.devcluster.state import (
    DIRECTORY_VARIABLE,
    Started,
    State,
    check_directory,
    default_directory,
    load,
    save,
)
from yarnflow.devcluster.status import ClusterStatus, DaemonStatus
from yarnflow.errors import DevClusterError

#: How long start waits for the daemons to work, and for another command on the same folder.
START_SECONDS = 120.0
#: How long daemons may take to end by themselves, per group, before they are killed.
STOP_SECONDS = 15.0
_POLL_SECONDS = 0.1
_NEEDED_BYTES = 512 * 1024 * 1024

Progress = Callable[[str], None]


def silent(_message: str) -> None:
    """The progress callback of those who do not want any."""


def fetch(progress: Progress = silent) -> None:
    """Get what the first start needs from elsewhere (Java, Maven, Hadoop's jars), and start nothing.

    Raises:
        DevClusterError: something is missing and cannot be had; says what to do.
    """
    jars.ensure(progress, toolchain.java_home(progress))


class DevCluster:
    """One single-node YARN + HDFS (+ ZooKeeper), its state below one folder.

    Args:
        directory: the state folder; YARNFLOW_DEVCLUSTER_DIR or one in the user's cache when None.
        nodes: NodeManagers at least; more that run already stay.
        zookeeper: whether ZooKeeper must run too; one that runs already stays.
        node_memory_mb, node_vcores: what each NodeManager offers to containers. Taken up when the cluster
            is started from rest.
        start_seconds: how long start waits before it gives up.
        stop_seconds: how long daemons may take to end by themselves before they are killed.
    """

    def __init__(
        self,
        directory: Path | None = None,
        nodes: int = 1,
        zookeeper: bool = False,
        *,
        node_memory_mb: int = Settings.node_memory_mb,
        node_vcores: int = Settings.node_vcores,
        start_seconds: float = START_SECONDS,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        if nodes < 1:
            raise DevClusterError(f"a devcluster has one node at least, not {nodes}")
        if node_memory_mb < hadoop_conf.MINIMUM_ALLOCATION_MB or node_vcores < 1:
            raise DevClusterError(
                f"a node needs {hadoop_conf.MINIMUM_ALLOCATION_MB} MB and 1 vcore at least, "
                f"not {node_memory_mb} MB and {node_vcores}"
            )
        self.directory = check_directory(default_directory() if directory is None else directory)
        self.start_seconds = start_seconds
        self.stop_seconds = stop_seconds
        self._wanted = Settings(nodes, zookeeper, node_memory_mb, node_vcores)

    # -- what it is -----------------------------------------------------------------------------------------

    @property
    def hdfs_uri(self) -> str:
        """hdfs://host:port of its file system."""
        return self._site().hdfs_uri

    @property
    def rm_web_address(self) -> str:
        """http://host:port of the ResourceManager's web end and REST API."""
        return f"http://{self._site().address('resourcemanager-web')}"

    @property
    def zookeeper_quorum(self) -> str:
        """host:port of ZooKeeper, as `high-availability.zookeeper.quorum` wants it.

        Raises:
            DevClusterError: it was started without ZooKeeper.
        """
        site = self._site()
        if not site.settings.zookeeper:
            raise DevClusterError(
                f"the devcluster in {self.directory} has no ZooKeeper: start it with --zookeeper"
            )
        return site.address("zookeeper-client")

    def env(self) -> dict[str, str]:
        """Return the environment variables with which programs find this cluster."""
        site = self._site()
        variables = {
            "JAVA_HOME": str(site.java_home),
            "HADOOP_CONF_DIR": str(site.conf),
            "YARN_CONF_DIR": str(site.conf),
            "PATH": f"{site.bin}:{os.environ.get('PATH', os.defpath)}",
            DIRECTORY_VARIABLE: str(self.directory),
            "YARNFLOW_DEVCLUSTER_HDFS": site.hdfs_uri,
            "YARNFLOW_DEVCLUSTER_RM_WEB": self.rm_web_address,
        }
        if site.settings.zookeeper:
            variables["YARNFLOW_DEVCLUSTER_ZOOKEEPER"] = site.address("zookeeper-client")
        return variables

    def is_running(self) -> bool:
        """Whether any daemon of it runs."""
        state = load(self.directory)
        return state is not None and bool(state.alive())

    def status(self) -> ClusterStatus:
        """Look at every daemon and ask the cluster whether it works."""
        state = load(self.directory)
        if state is None:
            return ClusterStatus(self.directory, "stopped", (), None, None, None, ())
        site = state.site(self.directory)
        alive = state.alive()
        shown = tuple(_daemon_status(daemon, site, alive) for daemon in daemons.daemons(site))
        problems = [f"{daemon.role} does not run: see {daemon.log}" for daemon in shown if not daemon.running]
        summary = "stopped"
        if alive:
            problems = problems or self._unready(site, alive)
            summary = "degraded" if problems else "running"
        pids = {started.process.pid for started in alive.values()}
        return ClusterStatus(
            directory=self.directory,
            state=summary,
            problems=tuple(problems) if alive else (),
            hdfs_uri=site.hdfs_uri,
            rm_web_address=self.rm_web_address,
            zookeeper_quorum=site.address("zookeeper-client") if site.settings.zookeeper else None,
            daemons=shown,
            containers=tuple(found.pid for found in processes.marked(self.directory) if found.pid not in pids),
        )

    def pid(self, role: str) -> int | None:
        """Return the pid of a daemon (`namenode`, `nodemanager-0`, ...); None when it does not run."""
        state = load(self.directory)
        started = state.alive().get(role) if state is not None else None
        return None if started is None else started.process.pid

    # -- up and down ----------------------------------------------------------------------------------------

    def start(self, progress: Progress = silent) -> None:
        """Start what does not run yet and return when the whole cluster works.

        Raises:
            DevClusterError: it cannot start: what is missing, or the daemon that failed with the end of its
                log. What this call started is stopped again.
        """
        with self._locked(progress):
            begun = time.monotonic()
            state = self._prepare(progress)
            before = state.alive()
            wanted = daemons.daemons(state.site(self.directory))
            missing = [daemon for daemon in wanted if daemon.role not in before]
            try:
                if missing:
                    state = self._launch(state, missing, progress)
                self._await_ready(state, progress)
            except BaseException:
                # Also on Ctrl-C: nothing that was started half way may stay behind.
                roles = [daemon.role for daemon in missing]
                self._end(roles, grace_seconds=3.0)
                for role in roles:
                    processes.kill(processes.marked(self.directory, role))
                raise
            took = time.monotonic() - begun
            progress(f"devcluster is up ({took:.1f} s)" if missing else "devcluster is up already")

    def stop(self, progress: Progress = silent) -> None:
        """Stop every process of this devcluster: daemons, containers, and what they left.

        Raises:
            DevClusterError: some process cannot be ended, not even by SIGKILL; names the pids.
        """
        if not self.directory.is_dir():
            # Never started, or the folder was deleted under running daemons: those are found by their mark.
            _complain_about(processes.kill(processes.marked(self.directory)), self.directory)
            return
        with self._locked(progress):
            self._end(_known_roles(self.directory), self.stop_seconds, progress)
            _complain_about(processes.kill(processes.marked(self.directory)), self.directory)

    def remove(self) -> None:
        """Delete the state folder, HDFS files included, of a stopped devcluster.

        Raises:
            DevClusterError: something still runs in it.
        """
        if processes.marked(self.directory):
            raise DevClusterError(f"the devcluster in {self.directory} runs: stop it before removing it")
        if load(self.directory) is not None:
            shutil.rmtree(self.directory)

    # -- faults, for tests ----------------------------------------------------------------------------------

    def stop_node(self, index: int, *, abrupt: bool = False) -> None:
        """Stop one NodeManager and its containers.

        Args:
            index: counted from 0.
            abrupt: kill it together with its containers, as when a machine is lost: the ResourceManager
                notices after `hadoop_conf.NODE_EXPIRY_MS`. Otherwise it signs off in good order.
        """
        role = self._node(index)
        with self._locked(silent):
            self._end([role], 0.0 if abrupt else self.stop_seconds, abrupt=abrupt)
            processes.kill(processes.marked(self.directory, role))

    def start_node(self, index: int) -> None:
        """Start one NodeManager again and wait until it is registered (with everything else that should run).

        Raises:
            DevClusterError: it does not start.
        """
        role = self._node(index)
        with self._locked(silent):
            state = self._state()
            if role not in state.alive():
                site = state.site(self.directory)
                chosen = [daemon for daemon in daemons.daemons(site) if daemon.role == role]
                state = self._launch(state, chosen, silent)
            self._await_ready(state, silent, among=set(state.alive()))

    # -- inside ---------------------------------------------------------------------------------------------

    def _locked(self, progress: Progress) -> AbstractContextManager[None]:
        holder = f"another command on the devcluster in {self.directory}"
        return locked(self.directory / "lock", self.start_seconds + 2 * self.stop_seconds, holder, progress)

    def _state(self) -> State:
        state = load(self.directory)
        if state is None:
            raise DevClusterError(
                f"no devcluster was started in {self.directory}: run `yarnflow devcluster start`, or name "
                f"another folder with --dir or {DIRECTORY_VARIABLE}"
            )
        return state

    def _site(self) -> Site:
        return self._state().site(self.directory)

    def _node(self, index: int) -> str:
        nodes = self._state().settings.nodes
        if not 0 <= index < nodes:
            raise DevClusterError(f"no node {index}: the devcluster has {nodes}, counted from 0")
        return daemons.nodemanager(index)

    def _prepare(self, progress: Progress) -> State:
        """Java, jars, settings, ports and files; writes nothing that a running daemon depends on."""
        jars.check_space(self.directory, _NEEDED_BYTES)
        known = load(self.directory)
        alive = {} if known is None else known.alive()
        if known is not None and alive:
            settings = replace(
                known.settings,
                nodes=max(self._wanted.nodes, known.settings.nodes),
                zookeeper=self._wanted.zookeeper or known.settings.zookeeper,
            )
            if settings.node_memory_mb != self._wanted.node_memory_mb or (
                settings.node_vcores != self._wanted.node_vcores
            ):
                progress(
                    f"it runs with {settings.node_memory_mb} MB and {settings.node_vcores} vcores per node; "
                    "stop it first to change that"
                )
            lib, java_home = known.lib, known.java_home
        else:
            settings = self._wanted
            # What an earlier run left behind when its daemons were killed from outside.
            processes.kill(processes.marked(self.directory))
            java_home = toolchain.java_home(progress)
            lib = jars.ensure(progress, java_home)
        state = State(
            settings,
            self._ports(settings, {} if known is None else known.ports, set(alive), progress),
            lib,
            java_home,
            alive,
        )
        site = state.site(self.directory)
        for folder in (site.logs, site.data, site.scratch):
            folder.mkdir(parents=True, exist_ok=True)
        if known is None or not alive:
            hadoop_conf.write(site)
            launchers.write(site)
        elif settings.zookeeper:
            (site.conf / "zoo.cfg").write_text(hadoop_conf.zoo_cfg(site))
        save(self.directory, state)
        return state

    def _ports(
        self, settings: Settings, known: Mapping[str, int], alive: set[str], progress: Progress
    ) -> dict[str, int]:
        remembered = dict(known)
        names = ports.names_for(settings.nodes, settings.zookeeper)
        for name in names:
            role = name.rpartition("-")[0]
            port = remembered.get(name)
            if port is None or role in alive or ports.is_free(port):
                continue
            if alive and not role.startswith("nodemanager-"):
                raise DevClusterError(
                    f"port {port} ({name}) is taken by another process, and the daemons that run expect "
                    f"{role} there: end that process, or run `yarnflow devcluster stop` and start again"
                )
            progress(f"port {port} ({name}) is taken by another process; choosing another")
            del remembered[name]
        return ports.choose(names, remembered)

    def _launch(self, state: State, missing: Iterable[Daemon], progress: Progress) -> State:
        site = state.site(self.directory)
        chosen = list(missing)
        progress(f"starting {', '.join(daemon.role for daemon in chosen)}")
        # The NameNode waits for its format, the others meanwhile start and knock until it answers.
        chosen.sort(key=lambda daemon: daemon.role == daemons.NAMENODE and not hdfs.is_formatted(site))
        for daemon in chosen:
            if daemon.role == daemons.NAMENODE and not hdfs.is_formatted(site):
                progress("formatting HDFS")
                hdfs.format_names(daemon, site)
            state = self._launch_one(state, daemon, site)
        return state

    def _launch_one(self, state: State, daemon: Daemon, site: Site) -> State:
        log = logs.path(site, daemon.role)
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        at = time.time()
        process = processes.start(
            daemons.command(daemon, site), daemons.environment(daemon, site), site.scratch, log
        )
        state = replace(state, daemons={**state.daemons, daemon.role: Started(process, at)})
        save(self.directory, state)
        return state

    def _await_ready(self, state: State, progress: Progress, among: set[str] | None = None) -> None:
        """Wait until the daemons (those in `among`) work; notice at once when one has died."""
        site = state.site(self.directory)
        watched = {role: entry for role, entry in state.daemons.items() if among is None or role in among}
        deadline = time.monotonic() + self.start_seconds
        told: list[str] = []
        while True:
            for role, started in watched.items():
                if not started.process.is_alive():
                    raise DevClusterError(f"{role} ended while starting. {logs.tail(site, role)}")
            problems = self._unready(site, watched)
            if not problems:
                hdfs.make_folders(site, progress)
                return
            if time.monotonic() > deadline:
                tails = "\n".join(logs.tail(site, role) for role in _concerned(problems, watched))
                raise DevClusterError(
                    f"the devcluster does not work after {self.start_seconds:.0f} s: "
                    f"{'; '.join(problems)}.\n{tails}"
                )
            kinds = [problem.partition(" (")[0] for problem in problems]
            if kinds != told:
                told = kinds
                progress("waiting: " + "; ".join(kinds))
            time.sleep(_POLL_SECONDS)

    def _unready(self, site: Site, watched: dict[str, Started]) -> list[str]:
        """Ask those daemons that are in `watched`; returns why they do not work yet."""
        reasons: list[str | None] = []
        if daemons.NAMENODE in watched:
            reasons.append(readiness.hdfs(site.address("namenode-web")))
        if daemons.RESOURCEMANAGER in watched:
            nodes = {
                site.address(f"{role}-rpc"): entry.at
                for role, entry in watched.items()
                if role.startswith("nodemanager-")
            }
            reasons.append(readiness.yarn(site.address("resourcemanager-web"), nodes))
        if daemons.ZOOKEEPER in watched:
            reasons.append(readiness.zookeeper(site.host, site.ports["zookeeper-client"]))
        return [reason for reason in reasons if reason is not None]

    def _end(
        self, roles: Iterable[str], grace_seconds: float, progress: Progress = silent, *, abrupt: bool = False
    ) -> None:
        """End daemons group by group.

        NodeManagers write their containers' logs to HDFS and sign off at the ResourceManager when they close,
        and would wait for either for a long time.
        """
        state = load(self.directory)
        if state is None:
            return
        chosen = {role: entry.process for role, entry in state.alive().items() if role in set(roles)}
        groups: list[list[str]] = [[], [], []]
        for role in chosen:
            is_node = role.startswith("nodemanager-")
            groups[0 if is_node else 1 if role == daemons.RESOURCEMANAGER else 2].append(role)
        for names in groups:
            if not names:
                continue
            progress(f"stopping {', '.join(names)}")
            group = [chosen[role] for role in names]
            left = processes.kill(group) if abrupt else processes.end(group, grace_seconds)
            _complain_about(left, self.directory)
        kept = {role: entry for role, entry in state.daemons.items() if role not in chosen}
        save(self.directory, replace(state, daemons=kept))


def _known_roles(directory: Path) -> list[str]:
    """Return the daemons that the folder remembers as started."""
    state = load(directory)
    return [] if state is None else list(state.daemons)


def _complain_about(left: list[ProcessId], directory: Path) -> None:
    if left:
        pids = ", ".join(str(process.pid) for process in left)
        raise DevClusterError(f"processes {pids} of the devcluster in {directory} do not end, not even by SIGKILL")


def _concerned(problems: Iterable[str], watched: Iterable[str]) -> list[str]:
    """The daemons whose logs explain the problems: those that a problem names."""
    text = " ".join(problems).lower()
    found = [role for role in watched if role.partition("-")[0] in text]
    return found[:3]


def _daemon_status(daemon: Daemon, site: Site, alive: dict[str, Started]) -> DaemonStatus:
    started = alive.get(daemon.role)
    listening = daemon.ports(site)
    return DaemonStatus(
        role=daemon.role,
        running=started is not None,
        pid=None if started is None else started.process.pid,
        ports=listening,
        web=f"http://{site.host}:{listening['web']}" if "web" in listening else None,
        log=logs.path(site, daemon.role),
        memory=0 if started is None else started.process.memory_bytes(),
    )
