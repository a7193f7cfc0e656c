package openlicenser.client;

import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Stored is what restarts keep of a license key. It is two lines: the SHA-256 of the second in hex, and JSON.
 *
 * <pre>
 * 5891b5b5…
 * {"version":1,"key":"…","asked":"2027-01-01T00:00:00Z","checked":"2027-01-01T00:00:01Z","token":"ey…"}
 * </pre>
 */
final class Stored {
    static final int MAX_BYTES = 1 << 20;
    static final Stored NONE = new Stored("", Times.ZERO, Times.ZERO, "", "", List.of());

    private static final int VERSION = 1;

    /** Hashes.ofKey of the license key that it is about. */
    final String key;
    /** When the request was made whose answer this is. */
    final Instant asked;
    /** When the answer came. */
    final Instant checked;
    /** Of a grant; else empty. */
    final String token;
    /** The code of a definite no; else empty. */
    final String refused;
    /** Those that were fetched. */
    final List<PublicKey> keys;

    private Stored(String key, Instant asked, Instant checked, String token, String refused, List<PublicKey> keys) {
        this.key = key;
        this.asked = asked;
        this.checked = checked;
        this.token = token;
        this.refused = refused;
        this.keys = keys;
    }

    /** DamagedException says why a stored document cannot be used. The service is asked then. */
    static final class DamagedException extends Exception {
        private static final long serialVersionUID = 1;

        DamagedException(String message) {
            super("the stored state is damaged: " + message);
        }
    }

    static Stored nothing(String key, Instant asked, List<PublicKey> keys) {
        return new Stored(key, asked, Times.ZERO, "", "", keys);
    }

    static Stored granted(Stored before, Instant asked, Instant now, String token) {
        return new Stored(before.key, asked, now, token, "", before.keys);
    }

    static Stored refused(Stored before, Instant asked, Instant now, String code) {
        return new Stored(before.key, asked, now, "", code, before.keys);
    }

    /** It is no answer then, which would be stored again. */
    Stored withoutToken() {
        return new Stored(key, refused.isEmpty() ? Times.ZERO : asked, Times.ZERO, "", refused, keys);
    }

    /** Reports whether the seat was given back: there was an answer, which is neither yes nor no. */
    boolean isGivenBack() {
        return token.isEmpty() && refused.isEmpty() && asked.isAfter(Times.ZERO);
    }

    /** Reports whether an answer is lost to a store that holds this: an older one for the same key, or none. */
    boolean isBehind(Stored known) {
        return (key.isEmpty() || key.equals(known.key)) && known.asked.isAfter(asked);
    }

    Stored withKeys(List<PublicKey> others) {
        return new Stored(key, asked, checked, token, refused, others);
    }

    /**
     * Reports whether another process of the product has asked for the same key since. A time ahead of the clock says
     * that the clock was wrong.
     */
    boolean isNewer(Stored than, Instant now) {
        return key.equals(than.key) && asked.isAfter(than.asked) && !asked.isAfter(now.plus(Duration.ofMinutes(1)));
    }

    static Stored read(byte[] document) throws DamagedException {
        Map<String, Object> said = readSummed(document);
        try {
            if (!Long.valueOf(VERSION).equals(said.get("version"))) {
                throw new DamagedException("it has another version");
            }
            return new Stored(Json.text(said, "key"), time(said, "asked"), time(said, "checked"),
                    Json.text(said, "token"), Json.text(said, "refused"), readKeys(said.get("keys")));
        } catch (Json.MalformedException e) {
            throw new DamagedException(e.getMessage());
        }
    }

    private static List<PublicKey> readKeys(Object list) throws Json.MalformedException {
        List<PublicKey> keys = new ArrayList<>();
        if (list != null) {
            for (Object member : Json.list(list)) {
                PublicKey.ofJwk(Json.object(member)).ifPresent(keys::add);
            }
        }
        return keys;
    }

    private static Instant time(Map<String, Object> said, String name) throws Json.MalformedException {
        String text = Json.text(said, name);
        try {
            return text.isEmpty() ? Times.ZERO : Times.read(text);
        } catch (DateTimeException e) {
            throw new Json.MalformedException(name + " is no time");
        }
    }

    byte[] write() {
        Map<String, Object> said = new LinkedHashMap<>();
        said.put("version", VERSION);
        said.put("key", key);
        said.put("asked", asked.toString());
        said.put("checked", checked.toString());
        if (!token.isEmpty()) {
            said.put("token", token);
        }
        if (!refused.isEmpty()) {
            said.put("refused", refused);
        }
        if (!keys.isEmpty()) {
            said.put("keys", keys.stream().map(PublicKey::toJwk).collect(Collectors.toList()));
        }
        return writeSummed(said);
    }

    /**
     * Reads the latest time that was ever seen, or ZERO where the document is damaged. It is a document of its own, so
     * that writing it never takes back what another process has been told of the license.
     */
    static Instant readMark(byte[] document) {
        try {
            return time(readSummed(document), "latest");
        } catch (DamagedException | Json.MalformedException e) {
            return Times.ZERO;
        }
    }

    static byte[] writeMark(Instant latest) {
        return writeSummed(Map.of("latest", latest.toString()));
    }

    private static Map<String, Object> readSummed(byte[] document) throws DamagedException {
        if (document.length > MAX_BYTES) {
            throw new DamagedException("it has " + document.length + " bytes");
        }
        int end = document.length;
        while (end > 0 && (document[end - 1] == '\r' || document[end - 1] == '\n')) {
            end--;
        }
        int line = 0;
        while (line < end && document[line] != '\n') {
            line++;
        }
        byte[] body = Arrays.copyOfRange(document, Math.min(line + 1, end), end);
        byte[] sum = Arrays.copyOf(document, line);
        if (!Arrays.equals(sum, Hashes.utf8(Hashes.hex(Hashes.sha256(body))))) {
            throw new DamagedException("it is not what was written");
        }
        try {
            return Json.readObject(body);
        } catch (Json.MalformedException e) {
            throw new DamagedException(e.getMessage());
        }
    }

    private static byte[] writeSummed(Map<String, ?> said) {
        String body = Json.write(said);
        return Hashes.utf8(Hashes.hex(Hashes.sha256(Hashes.utf8(body))) + "\n" + body + "\n");
    }
}
