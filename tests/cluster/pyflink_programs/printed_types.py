import datetime
import decimal

from pyflink.common import Row, Types
from pyflink.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)


def show(name, values, t):
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    env.from_collection(values, type_info=t).print(name)
    env.execute()


show("int", [1, -2], Types.INT())
show("long", [1 << 40], Types.LONG())
show("short", [3], Types.SHORT())
show("byte", [4], Types.BYTE())
show("bool", [True, False], Types.BOOLEAN())
show(
    "double",
    [1.0, 1e20, 1e-7, 123456789.125, float("inf"), float("-inf"), float("nan"), -0.0, 0.1, 1e7, 1e-3, 12345678.9],
    Types.DOUBLE(),
)
show("float", [1.0, 0.1, 1e20, 3.4e38, 1e-7, 16777216.0], Types.FLOAT())
show("string", ["a", "", "ü😀", "q'uote"], Types.STRING())
show("bigint", [10**30], Types.BIG_INT())
show("bigdec", [decimal.Decimal("1.50"), decimal.Decimal("1E+3")], Types.BIG_DEC())
show("date", [datetime.date(2020, 1, 2)], Types.SQL_DATE())
show("time", [datetime.time(1, 2, 3)], Types.SQL_TIME())
show("ts", [datetime.datetime(2020, 1, 2, 3, 4, 5, 678000), datetime.datetime(2020, 1, 2)], Types.SQL_TIMESTAMP())
show("tuple", [(1, "a", 1.5)], Types.TUPLE([Types.INT(), Types.STRING(), Types.DOUBLE()]))
show("row", [Row(1, "a", True), (2, None, False)], Types.ROW([Types.INT(), Types.STRING(), Types.BOOLEAN()]))
show("named", [Row(a=1, b="x")], Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.STRING()]))
show("map", [{"a": 1}], Types.MAP(Types.STRING(), Types.INT()))
show(
    "nested", [(1, Row(2, [3, 4]))], Types.TUPLE([Types.INT(), Types.ROW([Types.INT(), Types.LIST(Types.INT())])])
)
