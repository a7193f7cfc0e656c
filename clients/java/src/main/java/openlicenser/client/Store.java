package openlicenser.client;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Store keeps a few small documents across restarts. A product may bring its own. Processes that share one each read
 * what another has saved. What is lost is asked for again.
 */
public interface Store {
    /**
     * Returns a document as it was saved.
     *
     * @param name license or clock
     * @return the document, or nothing where there is none
     * @throws IOException if it cannot be read
     */
    Optional<byte[]> load(String name) throws IOException;

    /**
     * Replaces a document as a whole. After a crash either the old one or the new one is there.
     *
     * @param name license or clock
     * @param document what is kept
     * @throws IOException if it cannot be kept
     */
    void save(String name, byte[] document) throws IOException;

    /**
     * Keeps the documents in a folder of the product's own, which is made for its user alone. Several processes of the
     * product may share it, whether they are written in Java or in Go.
     *
     * @param folder on the default file system
     * @return the store
     */
    static Store dir(Path folder) {
        return new DirStore(folder);
    }

    /** {@return a store that keeps the documents as long as the process runs} */
    static Store memory() {
        return new MemoryStore();
    }
}
