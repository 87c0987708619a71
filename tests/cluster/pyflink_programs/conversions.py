from pyflink.common import Row, Types
from pyflink.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
ds = env.from_collection([1, 2])
rn = Types.ROW_NAMED(["i", "s"], [Types.INT(), Types.STRING()])
ds.map(lambda x: Row(x, "a"), output_type=rn).key_by(lambda r: r[0]).map(lambda r: repr(r)).print("keyed")
ds.map(lambda x: Row(x, "a"), output_type=rn).rebalance().map(lambda r: repr(r)).print("rebalanced")
ds.map(lambda x: Row(x, "a"), output_type=Types.ROW([Types.INT(), Types.STRING()])).rebalance().map(
    lambda r: repr(r)
).print("row")
ds.map(lambda x: Row(x, "a")).rebalance().map(lambda r: repr(r)).print("untyped")
ds.map(lambda x: Row(i=x, s="a")).rebalance().map(lambda r: repr(r)).print("untyped named")
ds.map(lambda x: x * 1.1, output_type=Types.FLOAT()).map(lambda r: repr(r)).print("float chained")
ds.map(lambda x: x, output_type=Types.DOUBLE()).print("int as double")
ds.map(lambda x: (x, x * 2e10), output_type=Types.TUPLE([Types.INT(), Types.DOUBLE()])).print("tuple with double")
ds.map(
    lambda x: Row(x, x * 2e10, True, None),
    output_type=Types.ROW([Types.INT(), Types.DOUBLE(), Types.BOOLEAN(), Types.STRING()]),
).print("row with double")
ds.map(
    lambda x: (x, Row(True, 2e10, None, "x"), (1, True, "y"), [True]),
    output_type=Types.TUPLE(
        [
            Types.INT(),
            Types.ROW([Types.BOOLEAN(), Types.DOUBLE(), Types.INT(), Types.STRING()]),
            Types.TUPLE([Types.INT(), Types.BOOLEAN(), Types.STRING()]),
            Types.LIST(Types.BOOLEAN()),
        ]
    ),
).print("tuple with row")
ds.map(lambda x: [True, False], output_type=Types.LIST(Types.BOOLEAN())).print("bools")
ds.map(lambda x: {"k": [1e10, 2.0]}, output_type=Types.MAP(Types.STRING(), Types.LIST(Types.DOUBLE()))).print(
    "map"
)
ds.map(lambda x: [Row(1, True)], output_type=Types.LIST(Types.ROW([Types.INT(), Types.BOOLEAN()]))).print(
    "list of rows"
)
env.execute()
