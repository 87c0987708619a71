import datetime

from pyflink.common import Row, Types, WatermarkStrategy
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.connectors.number_seq import NumberSequenceSource

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
ds = env.from_collection([(1, "a"), (2, "b")], type_info=Types.TUPLE([Types.INT(), Types.STRING()]))
with ds.execute_and_collect() as r:
    for x in r:
        print("tuple", repr(x), type(x).__name__)
for name, values, t in [
    ("row", [Row(1, "a")], Types.ROW([Types.INT(), Types.STRING()])),
    ("named", [Row(a=1, b="a")], Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.STRING()])),
    ("none", [1, "a", (1, 2), [1], {"a": 1}, None, Row(a=1)], None),
    ("map", [{"a": 1}], Types.MAP(Types.STRING(), Types.INT())),
    ("double", [1.0], Types.DOUBLE()),
    ("date", [datetime.date(2020, 1, 2)], Types.SQL_DATE()),
]:
    with env.from_collection(values, type_info=t).execute_and_collect() as r:
        for x in r:
            print(name, repr(x), str(x), type(x).__name__)
print(list(ds.map(lambda v: v[0]).execute_and_collect(limit=1)))
print(ds.map(lambda v: Row(v[0], v[1])).execute_and_collect("job", limit=5))
it = ds.execute_and_collect()
print(next(it))
it.close()

with env.from_source(
    NumberSequenceSource(1, 4), WatermarkStrategy.no_watermarks(), "seq", type_info=Types.LONG()
).execute_and_collect() as r:
    print(list(r))
print(
    str(Row(1, "a")),
    repr(Row(1, "a")),
    str(Row(a=1, b=2)),
    Row(a=1) == Row(a=1),
    Row(1, 2)[1],
    Row(a=1)["a"],
    Row(a=1).as_dict(),
    Row("a", "b")(1, 2),
    len(Row(1, 2)),
    "",
)
print(
    Types.INT(),
    Types.STRING(),
    Types.TUPLE([Types.INT(), Types.STRING()]),
    Types.ROW([Types.INT()]),
    Types.ROW_NAMED(["a"], [Types.INT()]),
    Types.LIST(Types.INT()),
    Types.MAP(Types.STRING(), Types.INT()),
    Types.PICKLED_BYTE_ARRAY(),
    Types.BASIC_ARRAY(Types.INT()),
    Types.PRIMITIVE_ARRAY(Types.INT()),
    Types.OBJECT_ARRAY(Types.STRING()),
    Types.SQL_DATE(),
    Types.BIG_DEC(),
    Types.INSTANT(),
)
