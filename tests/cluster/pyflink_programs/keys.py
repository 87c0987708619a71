from pyflink.common import Types
from pyflink.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(2)
data = [(i, f"k{i % 3}", i * 0.5) for i in range(8)]
ds = env.from_collection(data, type_info=Types.TUPLE([Types.INT(), Types.STRING(), Types.DOUBLE()]))
ds.key_by(lambda v: v[1]).reduce(lambda a, b: (a[0] + b[0], a[1], b[2])).map(lambda v: v).print(
    "a"
).set_parallelism(1)
ds.key_by(lambda v: (v[0] % 2, v[1]), key_type=Types.TUPLE([Types.INT(), Types.STRING()])).sum(0).print(
    "b"
).set_parallelism(1)

ds.key_by(lambda v: v[1]).flat_map(lambda v: [v[0], v[0]] if v[0] % 2 else []).print("d").set_parallelism(1)
ds.key_by(lambda v: v[1]).union(ds.key_by(lambda v: v[1])).map(lambda v: v[2], output_type=Types.DOUBLE()).print(
    "e"
).set_parallelism(1)
ds.key_by(lambda v: v[1]).min_by(2).print("f").set_parallelism(1)

ds.map(lambda v: [v[0], 1], output_type=Types.LIST(Types.INT())).print("h").set_parallelism(1)
env.execute()
