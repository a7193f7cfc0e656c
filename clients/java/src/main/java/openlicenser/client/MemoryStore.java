package openlicenser.client;

import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/** MemoryStore is {@link Store#memory}. */
final class MemoryStore implements Store {
    private final Map<String, byte[]> documents = new ConcurrentHashMap<>();

    @Override
    public Optional<byte[]> load(String name) {
        return Optional.ofNullable(documents.get(name)).map(byte[]::clone);
    }

    @Override
    public void save(String name, byte[] document) {
        documents.put(name, document.clone());
    }
}
