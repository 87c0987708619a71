"""Windows: finite groups of the records of a stream.

    window.py            the windows themselves: TimeWindow, CountWindow, GlobalWindow
    assigner.py          which windows a record belongs to: the base classes
    time_windows.py      tumbling, sliding and session windows, in event and in processing time
    count_windows.py     windows of so many records, and the one window of all
    trigger.py           when a window gives a result: the base class
    triggers.py          the triggers there are
    evictors.py          what is taken out of a window before or after its function
    window_functions.py  what is done with the contents of a window

The names and their meaning are those of pyflink.datastream.window and of Flink's package
org.apache.flink.streaming.api.windowing.
"""
