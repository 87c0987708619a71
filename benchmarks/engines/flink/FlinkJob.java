import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.connector.file.src.FileSource;
import org.apache.flink.connector.file.src.reader.TextLineInputFormat;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.windowing.assigners.SlidingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.util.Collector;

/** Flink's Java DataStream API. Arguments: workload slots sizes repeat data-folder; prints what _measure.py says. */
public class FlinkJob {
  /** Counts the records of each key. */
  static class Count extends KeyedProcessFunction<Long, Tuple2<Long, Long>, Tuple2<Long, Long>> {
    private transient ValueState<Long> count;

    @Override
    public void open(OpenContext context) {
      count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Types.LONG));
    }

    @Override
    public void processElement(Tuple2<Long, Long> value, Context context, Collector<Tuple2<Long, Long>> out)
        throws Exception {
      Long before = count.value();
      long now = before == null ? 1 : before + 1;
      count.update(now);
      out.collect(Tuple2.of(value.f0, now));
    }
  }

  /** Counts the records of each key and window. */
  static class CountRecords implements AggregateFunction<Tuple2<Long, Long>, Long, Long> {
    @Override
    public Long createAccumulator() {
      return 0L;
    }

    @Override
    public Long add(Tuple2<Long, Long> value, Long count) {
      return count + 1;
    }

    @Override
    public Long getResult(Long count) {
      return count;
    }

    @Override
    public Long merge(Long left, Long right) {
      return left + right;
    }
  }

  static long wordsOf(Path text) throws Exception {
    String facts = Files.readString(Path.of(text.toString().replaceAll("\\.txt$", ".json")));
    return Long.parseLong(facts.replaceAll("(?s).*\"words\": (\\d+).*", "$1"));
  }

  static long run(String workload, int slots, String size, Path data) throws Exception {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    env.setParallelism(slots);
    long records;
    if (workload.equals("W1")) {
      records = Long.parseLong(size);
      env.fromSource(new NumberSequenceSource(0, records - 1), WatermarkStrategy.noWatermarks(), "numbers")
          .map(x -> x * 2 + 1).returns(Types.LONG)
          .filter(x -> x % 3 == 0)
          .sinkTo(new DiscardingSink<>());
    } else if (workload.equals("W3")) {
      records = Long.parseLong(size);
      env.fromSource(new NumberSequenceSource(0, records - 1), WatermarkStrategy.noWatermarks(), "numbers")
          .map(x -> Tuple2.of(x % 10_000, x)).returns(Types.TUPLE(Types.LONG, Types.LONG))
          .keyBy(pair -> pair.f0, Types.LONG)
          .process(new Count()).returns(Types.TUPLE(Types.LONG, Types.LONG))
          .sinkTo(new DiscardingSink<>());
    } else if (workload.startsWith("W4")) {
      records = Long.parseLong(size);
      boolean disorder = workload.equals("W4O");
      WatermarkStrategy<Tuple2<Long, Long>> strategy = disorder
          ? WatermarkStrategy.forBoundedOutOfOrderness(Duration.ofSeconds(1))
          : WatermarkStrategy.forMonotonousTimestamps();
      var keyed = env.fromSource(new NumberSequenceSource(0, records - 1), WatermarkStrategy.noWatermarks(), "numbers")
          .map(x -> Tuple2.of(x % 1000, disorder ? x - x * 7919 % 1000 : x))
          .returns(Types.TUPLE(Types.LONG, Types.LONG))
          .assignTimestampsAndWatermarks(strategy.withTimestampAssigner((pair, before) -> pair.f1))
          .keyBy(pair -> pair.f0, Types.LONG);
      var second = Duration.ofSeconds(1);
      (workload.equals("W4S")
          ? keyed.window(SlidingEventTimeWindows.of(Duration.ofSeconds(60), second))
          : keyed.window(TumblingEventTimeWindows.of(second)))
          .aggregate(new CountRecords())
          .sinkTo(new DiscardingSink<>());
    } else {
      Path text = data.resolve(size);
      records = wordsOf(text);
      var path = new org.apache.flink.core.fs.Path(text.toString());
      env.fromSource(FileSource.forRecordStreamFormat(new TextLineInputFormat(), path).build(),
              WatermarkStrategy.noWatermarks(), "lines")
          .flatMap((String line, Collector<String> out) -> { for (String word : line.split(" ")) out.collect(word); })
          .returns(Types.STRING)
          .map(word -> Tuple2.of(word, 1L)).returns(Types.TUPLE(Types.STRING, Types.LONG))
          .keyBy(pair -> pair.f0)
          .reduce((left, right) -> Tuple2.of(left.f0, left.f1 + right.f1))
          .sinkTo(new DiscardingSink<>());
    }
    env.execute(workload);
    return records;
  }

  public static void main(String[] args) throws Exception {
    String[] sizes = args[2].split(",");
    for (int i = 0; i < Integer.parseInt(args[3]); i++) {
      for (String size : sizes) {
        long start = System.nanoTime();
        long records = run(args[0], Integer.parseInt(args[1]), size, Path.of(args[4]));
        System.out.printf("{\"size\": \"%s\", \"n\": %d, \"seconds\": %.4f}%n", size, records, (System.nanoTime() - start) / 1e9);
      }
    }
  }
}
