"""The rocksdb backend: keyed state on local disk."""
