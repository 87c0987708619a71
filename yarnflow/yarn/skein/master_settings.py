"""A jar with settings for the JVM of skein's ApplicationMaster alone.

skein's ApplicationMaster sleeps between two heartbeats to the ResourceManager for half of
`yarn.am.liveness-monitor.expiry-interval-ms`, 5 s at most. New containers, and the news of ended ones, wait
for the next heartbeat. A jar among the master's files comes before the cluster's configuration on its class
path (`$CLASSPATH:./*:yarn.application.classpath`), so one with a yarn- site.xml of our own makes heartbeats
as frequent as we like. The ResourceManager's own expiry is not touched: nobody else reads this file.
"""

from __future__ import annotations

import zipfile
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

_EXPIRY = "yarn.am.liveness-monitor.expiry-interval-ms"


def yarn_site(client_file: Path, heartbeat: timedelta) -> bytes:
    """The client's yarn-site.xml with the expiry that makes skein's master beat every `heartbeat`.

    Raises OSError or ElementTree.ParseError for a file that cannot be read.
    """
    tree = ElementTree.parse(client_file)  # noqa: S314 the administrator's own file
    root = tree.getroot()
    for entry in list(root.iter("property")):
        if (entry.findtext("name") or "").strip() == _EXPIRY:
            root.remove(entry)
    entry = ElementTree.SubElement(root, "property")
    ElementTree.SubElement(entry, "name").text = _EXPIRY
    ElementTree.SubElement(entry, "value").text = str(max(2, round(heartbeat.total_seconds() * 2000)))
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def write_jar(path: Path, client_file: Path, heartbeat: timedelta) -> None:
    """Write the jar. Raises OSError."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as jar:
        jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n\r\n")
        jar.writestr("yarn-site.xml", yarn_site(client_file, heartbeat))
