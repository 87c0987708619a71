"""Sources and sinks, as they are pickled and run in workers.

    number_sequence.py  a range of integers
    discarding.py       a sink that drops everything
    socket_text.py      lines from a TCP server
    file_source.py      FileSource: which files, which parts of them; formats read the parts
      file_splits.py      files to splits
      text_format.py      lines
      csv_format.py       CSV; csv_schema.py describes the dialect and columns
      parquet_format.py   Parquet
    file_sink.py        FileSink: part files in buckets, published at the end
      file_sink_config.py what programs configure: buckets, rolling, names
      writer_factories.py how records become the bytes of a part file

Programs import them from yarnflow.datastream.connectors and .formats, under PyFlink's names.
"""
