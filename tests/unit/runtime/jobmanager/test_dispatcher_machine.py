from __future__ import annotations

from yarnflow.runtime.jobmanager.dispatcher_machine import (
    CancelJob,
    ClusterEnd,
    DispatcherMachine,
    EndCluster,
    ForgetJob,
    JobSubmitted,
    JobTerminated,
    RefuseJob,
    ResultDelivered,
    ShutdownRequested,
    StartJob,
    Tick,
)
from yarnflow.runtime.jobmanager.driver import FinalStatus
from yarnflow.runtime.states import JobStatus


def machine(end=ClusterEnd.NEVER, capacity=None, expiration=3600.0) -> DispatcherMachine:
    return DispatcherMachine(end, capacity, expiration)


def send(target, *events, now=0.0):
    effects = []
    for event in events:
        effects = target.handle(event, now)
        target.check()
    return effects


def test_a_job_id_is_accepted_once():
    dispatcher = machine()
    assert send(dispatcher, JobSubmitted("a")) == [StartJob("a")]
    assert isinstance(send(dispatcher, JobSubmitted("a"))[0], RefuseJob)
    send(dispatcher, JobTerminated("a", JobStatus.FINISHED))
    assert isinstance(send(dispatcher, JobSubmitted("a"))[0], RefuseJob)


def test_ended_jobs_are_forgotten_beyond_the_capacity():
    dispatcher = machine(capacity=1)
    send(dispatcher, JobSubmitted("a"), JobSubmitted("b"), JobTerminated("a", JobStatus.FINISHED))
    assert send(dispatcher, JobTerminated("b", JobStatus.FAILED)) == [ForgetJob("a")]


def test_ended_jobs_are_forgotten_after_their_time():
    dispatcher = machine(expiration=10.0)
    send(dispatcher, JobSubmitted("a"), JobTerminated("a", JobStatus.FINISHED))
    assert send(dispatcher, Tick(), now=9.0) == []
    assert send(dispatcher, Tick(), now=10.0) == [ForgetJob("a")]


def test_a_detached_per_job_cluster_ends_with_its_job():
    dispatcher = machine(ClusterEnd.AFTER_JOB)
    send(dispatcher, JobSubmitted("a"))
    assert send(dispatcher, JobTerminated("a", JobStatus.FAILED, "boom")) == [
        EndCluster(FinalStatus.FAILED, "boom")
    ]
    assert isinstance(send(dispatcher, JobSubmitted("b"))[0], RefuseJob)


def test_an_attached_per_job_cluster_ends_when_its_result_was_fetched():
    dispatcher = machine(ClusterEnd.AFTER_RESULT)
    send(dispatcher, JobSubmitted("a"))
    assert send(dispatcher, ResultDelivered("a")) == []
    assert send(dispatcher, JobTerminated("a", JobStatus.CANCELED)) == []
    assert send(dispatcher, ResultDelivered("a")) == [EndCluster(FinalStatus.KILLED, "")]
    assert send(dispatcher, ResultDelivered("a")) == []


def test_a_session_outlives_its_jobs():
    dispatcher = machine()
    send(dispatcher, JobSubmitted("a"), JobTerminated("a", JobStatus.FINISHED))
    assert send(dispatcher, ResultDelivered("a")) == []


def test_shutdown_cancels_what_runs_and_ends_afterwards():
    dispatcher = machine()
    send(dispatcher, JobSubmitted("b"), JobSubmitted("a"))
    effects = send(dispatcher, ShutdownRequested(FinalStatus.SUCCEEDED, "stop"))
    assert effects == [CancelJob("a"), CancelJob("b")]
    assert isinstance(send(dispatcher, JobSubmitted("c"))[0], RefuseJob)
    send(dispatcher, JobTerminated("a", JobStatus.CANCELED))
    assert send(dispatcher, JobTerminated("b", JobStatus.CANCELED)) == [EndCluster(FinalStatus.SUCCEEDED, "stop")]


def test_shutdown_without_jobs_ends_at_once_and_only_once():
    dispatcher = machine()
    assert send(dispatcher, ShutdownRequested(FinalStatus.KILLED)) == [EndCluster(FinalStatus.KILLED, "")]
    assert send(dispatcher, ShutdownRequested(FinalStatus.FAILED)) == []
