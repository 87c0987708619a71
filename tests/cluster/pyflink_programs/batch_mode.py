from pyflink.common import Types
from pyflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.set_runtime_mode(RuntimeExecutionMode.BATCH)
env.set_parallelism(1)
data = [("a", 3), ("b", 1), ("a", 1), ("b", 4), ("a", 7), ("c", 9)]
k = env.from_collection(data, type_info=Types.TUPLE([Types.STRING(), Types.INT()])).key_by(
    lambda v: v[0], key_type=Types.STRING()
)
k.reduce(lambda a, b: (a[0], a[1] + b[1])).print("reduce")
for op in ("sum", "min", "max", "min_by", "max_by"):
    getattr(k, op)(1).print(op)
k.map(lambda v: (v[0], v[1] * 2)).print("map")
env.execute("batch")
