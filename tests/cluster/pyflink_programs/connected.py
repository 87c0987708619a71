"""Connected streams with keys and without, and broadcast state. Nothing depends on which stream comes first."""

from pyflink.common import Types
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.functions import (
    BroadcastProcessFunction,
    CoMapFunction,
    CoProcessFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
)
from pyflink.datastream.output_tag import OutputTag
from pyflink.datastream.state import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor

SHIPS = [("ann", "boat"), ("bob", "raft"), ("cid", "ferry")]
CREWS = [("bob", 2), ("ann", 1), ("dan", 9), ("cid", 3)]
ALONE = OutputTag("alone", Types.STRING())
RULES = MapStateDescriptor("rules", Types.STRING(), Types.INT())
LIMITS = MapStateDescriptor("limits", Types.STRING(), Types.INT())


class Join(KeyedCoProcessFunction):
    def open(self, runtime_context):
        self.ship = runtime_context.get_state(ValueStateDescriptor("ship", Types.STRING()))
        self.crew = runtime_context.get_state(ValueStateDescriptor("crew", Types.INT()))

    def process_element1(self, value, ctx: "KeyedCoProcessFunction.Context"):
        self.ship.update(value[1])
        return self.met(ctx)

    def process_element2(self, value, ctx: "KeyedCoProcessFunction.Context"):
        self.crew.update(value[1])
        return self.met(ctx)

    def met(self, ctx):
        if self.ship.value() is not None and self.crew.value() is not None:
            yield f"{ctx.get_current_key()}: {self.ship.value()} with {self.crew.value()}"
        ctx.timer_service().register_event_time_timer(1)

    def on_timer(self, timestamp, ctx: "KeyedCoProcessFunction.OnTimerContext"):
        if self.ship.value() is None:
            yield ALONE, f"{ctx.get_current_key()} has no ship at {timestamp} {ctx.time_domain().name}"


class Shared(CoMapFunction):
    """Both sides count up one number."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.INT()))

    def map1(self, value):
        return self.counted(value)

    def map2(self, value):
        return self.counted(value)

    def counted(self, value):
        self.count.update((self.count.value() or 0) + 1)
        return None if self.count.value() == 1 else f"twice: {value[0]}"


class Sides(CoProcessFunction):
    def process_element1(self, value, ctx: "CoProcessFunction.Context"):
        yield f"ship of {value[0]} at {ctx.timestamp()}"

    def process_element2(self, value, ctx: "CoProcessFunction.Context"):
        yield f"crew of {value[0]}"
        yield f"of {value[1]}"


class Limit(KeyedBroadcastProcessFunction):
    """Crews are kept until all rules are known."""

    def open(self, runtime_context):
        self.crews = runtime_context.get_list_state(ListStateDescriptor("crews", Types.INT()))

    def process_element(self, value, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext):
        self.crews.add(value[1])
        ctx.timer_service().register_event_time_timer(5)

    def process_broadcast_element(self, value, ctx: KeyedBroadcastProcessFunction.Context):
        ctx.get_broadcast_state(LIMITS).put(value[0], value[1])
        yield f"rule {value[0]} of {len(list(ctx.get_broadcast_state(LIMITS).items()))}"

    def on_timer(self, timestamp, ctx: KeyedBroadcastProcessFunction.OnTimerContext):
        rules = ctx.get_broadcast_state(LIMITS)
        for crew in self.crews.get():
            small = [name for name, limit in sorted(rules.items()) if crew <= limit]
            yield f"{ctx.get_current_key()} with {crew} is {small} {'tiny' in rules} {rules.is_empty()}"


class Tell(BroadcastProcessFunction):
    def process_element(self, value, ctx: BroadcastProcessFunction.ReadOnlyContext):
        yield f"element {value} at {ctx.timestamp()}"

    def process_broadcast_element(self, value, ctx: BroadcastProcessFunction.Context):
        rules = ctx.get_broadcast_state(RULES)
        rules[value[0]] = value[1]
        yield f"{value[0]} among {sorted(rules.keys())} {sorted(rules.values())} {rules.contains('small')}"


env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
ships = env.from_collection(SHIPS, Types.TUPLE([Types.STRING(), Types.STRING()]))
crews = env.from_collection(CREWS, Types.TUPLE([Types.STRING(), Types.INT()]))
rules = env.from_collection([("small", 2), ("tiny", 1)], Types.TUPLE([Types.STRING(), Types.INT()]))
by_name = (lambda ship: ship[0]), (lambda crew: crew[0])

joined = ships.connect(crews).key_by(*by_name, Types.STRING()).process(Join(), Types.STRING())
joined.print()
joined.get_side_output(ALONE).print()
ships.connect(crews).key_by(*by_name, Types.STRING()).map(Shared(), Types.STRING()).map(
    lambda text: text.split(":")[0], Types.STRING()
).print()
ships.connect(crews).process(Sides(), Types.STRING()).print()
crews.key_by(by_name[1], Types.STRING()).connect(rules.broadcast(LIMITS)).process(Limit(), Types.STRING()).print()
ships.map(lambda ship: ship[1], Types.STRING()).connect(rules.broadcast(RULES)).process(
    Tell(), Types.STRING()
).print()
env.execute("connected")
