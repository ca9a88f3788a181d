import de.bwaldvogel.mongo.MongoBackend;
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;

/**
 * A server that speaks MongoDB's protocol: {@code java -cp 'lib/*' Main.java PORT mem|FILE}. It ends on SIGTERM, and
 * when its standard input closes: a test run that is killed leaves no server behind.
 */
public class Main {
    public static void main(String[] args) throws Exception {
        MongoBackend backend = args[1].equals("mem") ? new MemoryBackend() : new H2Backend(args[1]);
        MongoServer server = new MongoServer(backend);
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
        server.bind("127.0.0.1", Integer.parseInt(args[0]));
        System.out.println("ready");
        while (System.in.read() >= 0) {
            // Nobody writes; the read returns when the parent is gone.
        }
        System.exit(0);
    }
}
