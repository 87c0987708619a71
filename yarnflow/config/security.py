"""Options of the cluster's secret, Kerberos, TLS and ZooKeeper's SASL."""

from __future__ import annotations

from datetime import timedelta

from yarnflow.config.option import Option
from yarnflow.config.values import COMMA_LIST, LIST


class ClusterSecretOptions:
    """How the processes of a standalone cluster know each other. On YARN every application has its own secret."""

    # Not "secret-file": values of keys with "secret" in them are masked, and this is only a path.
    FILE = Option(
        "security.rpc.key-file",
        str,
        None,
        "File with the secret that the JobManager and TaskManagers of a standalone cluster share. Only its "
        "owner may be able to read it; the JobManager makes it when it is missing. Without it `secret` in the "
        "directory of the configuration, else in `~/.yarnflow`.",
    )


class SecurityOptions:
    """Kerberos and TLS. Read and checked; logging in from a keytab and TLS come with a later version."""

    KERBEROS_LOGIN_KEYTAB = Option(
        "security.kerberos.login.keytab",
        str,
        None,
        "Keytab file of the principal. It travels to the containers.",
    )
    KERBEROS_LOGIN_PRINCIPAL = Option("security.kerberos.login.principal", str, None, "Who to log in as.")
    KERBEROS_LOGIN_USE_TICKET_CACHE = Option(
        "security.kerberos.login.use-ticket-cache",
        bool,
        True,
        "Without a keytab, use the tickets of `kinit`.",
    )
    KERBEROS_LOGIN_CONTEXTS = Option(
        "security.kerberos.login.contexts",
        COMMA_LIST,
        (),
        "JAAS contexts that get the login: `Client` for ZooKeeper, `KafkaClient` for Kafka.",
    )
    KERBEROS_KRB5_PATH = Option(
        "security.kerberos.krb5-conf.path", str, None, "A krb5.conf for the containers."
    )
    KERBEROS_RELOGIN_PERIOD = Option(
        "security.kerberos.relogin.period",
        timedelta,
        timedelta(minutes=1),
        "How often it is checked whether to renew.",
    )
    KERBEROS_FILESYSTEMS = Option(
        "security.kerberos.access.hadoopFileSystems",
        LIST,
        (),
        "Further file systems to get tokens for: `hdfs://namenode2:8020;hdfs://namenode3:8020`.",
        fallback=("yarn.security.kerberos.additionalFileSystems",),
    )
    SHIP_LOCAL_KEYTAB = Option(
        "yarn.security.kerberos.ship-local-keytab",
        bool,
        True,
        "Whether the keytab travels to the containers.",
    )
    LOCALIZED_KEYTAB_PATH = Option(
        "yarn.security.kerberos.localized-keytab-path", str, "krb5.keytab", "Its path there."
    )
    SSL_INTERNAL_ENABLED = Option(
        "security.ssl.internal.enabled", bool, False, "TLS between the processes of a cluster."
    )
    SSL_REST_ENABLED = Option("security.ssl.rest.enabled", bool, False, "TLS for the REST server.")
    ZOOKEEPER_SASL_DISABLE = Option("zookeeper.sasl.disable", bool, False, "Never log in to ZooKeeper.")
    ZOOKEEPER_SASL_SERVICE_NAME = Option(
        "zookeeper.sasl.service-name", str, "zookeeper", "First part of ZooKeeper's principal."
    )
    ZOOKEEPER_SASL_LOGIN_CONTEXT_NAME = Option(
        "zookeeper.sasl.login-context-name", str, "Client", "JAAS context of the ZooKeeper client."
    )
