from pyflink.common import Row, Types
from pyflink.datastream import (
    FilterFunction,
    FlatMapFunction,
    KeySelector,
    MapFunction,
    ReduceFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
)

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)


class M(MapFunction):
    def open(self, ctx: RuntimeContext):
        self.n = ctx.get_number_of_parallel_subtasks()
        self.name = ctx.get_task_name()
        self.i = ctx.get_index_of_this_subtask()

    def map(self, v):
        return (v, self.n, self.i)


class F(FlatMapFunction):
    def flat_map(self, v):
        yield from range(v)


class Fi(FilterFunction):
    def filter(self, v):
        return v % 2 == 0


class K(KeySelector):
    def get_key(self, v):
        return v % 3


class R(ReduceFunction):
    def reduce(self, a, b):
        return a + b


ds = env.from_collection([1, 2, 3, 4, 5, 6])
ds.map(M()).print("map")
ds.flat_map(F()).print("flat")
ds.flat_map(F(), output_type=Types.INT()).print("flatint")
ds.filter(Fi()).print("filter")
ds.key_by(K()).reduce(R()).print("reduce")
ds.map(lambda x: x * 1.5).print("float")
ds.map(lambda x: x * 1.5, output_type=Types.DOUBLE()).print("double")
ds.map(lambda x: x * 1.1, output_type=Types.FLOAT()).print("f32")
ds.map(lambda x: x % 2 == 0, output_type=Types.BOOLEAN()).print("bool")
ds.map(lambda x: x % 2 == 0).print("pybool")
ds.map(lambda x: str(x)).print("pystr")
ds.map(lambda x: str(x), output_type=Types.STRING()).print("str")
ds.map(lambda x: None).print("none")
ds.map(lambda x: {"a": x, "b": [x, "x"]}).print("dict")
ds.map(lambda x: [x, "x", None, 1.0]).print("list")
ds.map(lambda x: Row(x, "a")).print("row")
ds.map(lambda x: Row(id=x, name="a")).print("named")
ds.map(lambda x: Row(x, "a"), output_type=Types.ROW([Types.INT(), Types.STRING()])).print("rowt")
ds.map(lambda x: Row(x, "a"), output_type=Types.ROW_NAMED(["i", "s"], [Types.INT(), Types.STRING()])).print("rown")
ds.map(lambda x: (x, "a"), output_type=Types.TUPLE([Types.INT(), Types.STRING()])).print("tuplet")
env.execute("basic")
