"""Everything that speaks to YARN.

`application` describes what is to run, in no backend's terms; `skein/` submits it and, in the ApplicationMaster,
asks for containers. `rm_rest` asks the ResourceManager without a JVM, `logs` fetches containers' logs,
`hadoop_conf` reads the client's configuration, `layout` names what containers find in their folder.
"""
