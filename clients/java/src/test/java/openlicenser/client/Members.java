package openlicenser.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** Members reads an object of clients/vectors. One that has a member which no test asks for fails in {@link #done}. */
final class Members {
    private final Map<String, Object> members;
    private final Set<String> left;
    private final List<Members> inside = new ArrayList<>();

    private Members(Object value) {
        try {
            members = Json.object(value);
        } catch (Json.MalformedException e) {
            throw new AssertionError(e);
        }
        left = new TreeSet<>(members.keySet());
    }

    static Members read(String file) {
        try {
            return new Members(Json.read(Files.readString(Path.of("..", "vectors", file))));
        } catch (IOException | Json.MalformedException e) {
            throw new AssertionError(file, e);
        }
    }

    private Object get(String name) {
        left.remove(name);
        return members.get(name);
    }

    String text(String name) {
        Object value = get(name);
        return value == null ? "" : (String) value;
    }

    long number(String name) {
        Object value = get(name);
        return value == null ? 0 : (Long) value;
    }

    boolean flag(String name) {
        return Boolean.TRUE.equals(get(name));
    }

    Instant time(String name) {
        String text = text(name);
        return text.isEmpty() ? Times.ZERO : Times.read(text);
    }

    Members object(String name) {
        Object value = get(name);
        Members object = new Members(value == null ? Map.of() : value);
        inside.add(object);
        return object;
    }

    List<Members> objects(String name) {
        List<Members> objects = new ArrayList<>();
        for (Object value : (List<?>) get(name)) {
            objects.add(new Members(value));
        }
        inside.addAll(objects);
        return objects;
    }

    List<String> texts(String name) {
        List<String> texts = new ArrayList<>();
        Object value = get(name);
        for (Object text : value == null ? List.of() : (List<?>) value) {
            texts.add((String) text);
        }
        return texts;
    }

    /** Returns all members, which are texts. */
    Map<String, List<String>> headers() {
        Map<String, List<String>> headers = new HashMap<>();
        for (String name : members.keySet()) {
            headers.put(name, List.of(text(name)));
        }
        return headers;
    }

    /** Returns the JSON of an object that is given to the client as it is. */
    byte[] json(String name) {
        try {
            return Hashes.utf8(Json.write(Json.object(get(name))));
        } catch (Json.MalformedException e) {
            throw new AssertionError(e);
        }
    }

    /** Fails where a member was not asked for, of this object or of those in it. */
    void done() {
        assertEquals(Set.of(), left, "members that no test looks at");
        inside.forEach(Members::done);
    }
}
