from pyflink.common import Types
from pyflink.datastream import (
    CoFlatMapFunction,
    CoMapFunction,
    OutputTag,
    ProcessFunction,
    StreamExecutionEnvironment,
)

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
a = env.from_collection([1, 2, 3], type_info=Types.INT())
b = env.from_collection(["x", "y"], type_info=Types.STRING())


class CM(CoMapFunction):
    def map1(self, v):
        return ("int", v)

    def map2(self, v):
        return ("str", v)


class CF(CoFlatMapFunction):
    def flat_map1(self, v):
        yield v
        yield v * 10

    def flat_map2(self, v):
        yield len(v)


a.connect(b).map(CM()).print("comap")
a.connect(b).flat_map(CF()).print("coflat")
a.union(a, env.from_collection([9], type_info=Types.INT())).print("union")
tag = OutputTag("side", Types.INT())
tag2 = OutputTag("untyped")


class P(ProcessFunction):
    def process_element(self, value, ctx: "ProcessFunction.Context"):
        yield value
        yield tag, value * 100
        yield tag2, ("s", value)


m = a.process(P())
m.print("main")
m.get_side_output(tag).print("side")
m.get_side_output(tag2).print("side2")
env.execute("multi")
