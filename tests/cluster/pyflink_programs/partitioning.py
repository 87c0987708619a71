from pyflink.common import Types
from pyflink.datastream import MapFunction, Partitioner, StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(2)
src = env.from_collection([(i, str(i)) for i in range(6)], type_info=Types.TUPLE([Types.INT(), Types.STRING()]))


class Tag(MapFunction):
    def open(self, ctx):
        self.i = ctx.get_index_of_this_subtask()
        self.n = ctx.get_number_of_parallel_subtasks()

    def map(self, v):
        return (self.i, self.n, v)


class Part(Partitioner):
    def partition(self, key, num_partitions):
        return key % num_partitions


src.partition_custom(Part(), lambda v: v[0]).map(Tag()).print("custom")
src.partition_custom(lambda k, n: (k + 1) % n, lambda v: v[0]).map(Tag()).print("lambda")
src.broadcast().map(Tag()).print("broadcast")
src.project(1).print("project").set_parallelism(1)
src.map(lambda v: v[0]).set_parallelism(1).print().set_parallelism(1)
src.shuffle().map(lambda v: v[1]).force_non_parallel().print("shuffle1").set_parallelism(1)
env.execute("part")
