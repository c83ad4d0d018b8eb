import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.Produced;

/** Joins uses (KStream) with states (KTable) by credential, with the default settings. */
public final class UsesJoinStates {
  public static void main(String[] args) throws Exception {
    var settings = new Properties();
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "bench");
    settings.put(StreamsConfig.STATE_DIR_CONFIG, args[4]);
    settings.put("auto.offset.reset", "earliest");
    var text = Serdes.String();
    var builder = new StreamsBuilder();
    var states = builder.table(args[1], Consumed.with(text, text));
    builder.stream(args[2], Consumed.with(text, text))
        .leftJoin(states, UsesJoinStates::decided, Joined.with(text, text, text))
        .to(args[3], Produced.with(text, text));
    var streams = new KafkaStreams(builder.build(), settings);
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
    new CountDownLatch(1).await();
  }

  private static String decided(String ask, String state) {
    return "{\"ask\": \"" + ask + "\", \"allowed\": " + "alive".equals(state) + "}";
  }
}
