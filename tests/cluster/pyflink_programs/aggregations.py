from pyflink.common import Row, Types
from pyflink.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
data = [("a", 3, 1.5), ("b", 1, 2.5), ("a", 1, 0.5), ("b", 4, 9.0), ("a", 7, 0.25), ("a", 1, 8.0)]
tt = Types.TUPLE([Types.STRING(), Types.INT(), Types.DOUBLE()])
rt = Types.ROW_NAMED(["k", "n", "x"], [Types.STRING(), Types.INT(), Types.DOUBLE()])
for name, ds in {"t": env.from_collection(data, type_info=tt), "p": env.from_collection(data)}.items():
    k = ds.key_by(lambda v: v[0])
    for op in ("sum", "min", "max", "min_by", "max_by"):
        getattr(k, op)(1).print(f"{name} {op}(1)")
        getattr(k, op)(2).print(f"{name} {op}(2)")
k = env.from_collection([Row(*d) for d in data], type_info=rt).key_by(lambda r: r.k)
for op in ("sum", "min", "max", "min_by", "max_by"):
    getattr(k, op)("n").print(f"r {op}(n)")
    getattr(k, op)("x").print(f"r {op}(x)")
    getattr(k, op)(1).print(f"r {op}(1)")
n = env.from_collection([3, 1, 2, 5], type_info=Types.INT()).key_by(lambda v: v % 2)
for op in ("sum", "min", "max", "min_by", "max_by"):
    getattr(n, op)().print(f"n {op}()")
    getattr(n, op)(0).print(f"n {op}(0)")
env.execute("agg")
