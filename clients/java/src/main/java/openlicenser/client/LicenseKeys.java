package openlicenser.client;

import java.math.BigInteger;
import java.util.Locale;
import java.util.Optional;

/** LicenseKeys reads license keys as customers paste them. Only the service can tell whether a key is genuine. */
final class LicenseKeys {
    private static final int SHORT_LENGTH = 42;
    private static final String CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    private LicenseKeys() {
    }

    /**
     * Drops what mail programs and people add to a license key, as the service does. What is left is sent. Of a short
     * key it makes one spelling, so that the stored state is found again however it was typed.
     */
    static String clean(String pasted) {
        String key = pasted.replaceAll("[^A-Za-z0-9_.-]", "");
        if (key.contains(".")) {
            return key;
        }
        String folded = key.toUpperCase(Locale.ROOT).replace("-", "").replace('O', '0').replaceAll("[IL]", "1");
        return folded.length() == SHORT_LENGTH ? folded : key;
    }

    /** Returns the id of the license that a clean key is for, or an empty one. */
    static String licenseId(String key) {
        String[] parts = key.split("\\.", -1);
        if (parts.length != 3) {
            return ofShort(key);
        }
        Optional<byte[]> payload = Hashes.fromBase64Url(parts[1]);
        try {
            return payload.isPresent() ? Json.textOrNone(Json.readObject(payload.get()), "licenseid") : "";
        } catch (Json.MalformedException e) {
            return "";
        }
    }

    /** The id is the first 128 of the 210 bits. */
    private static String ofShort(String key) {
        if (key.length() != SHORT_LENGTH) {
            return "";
        }
        BigInteger bits = BigInteger.ZERO;
        for (char c : key.toCharArray()) {
            int digit = CROCKFORD.indexOf(c);
            if (digit < 0) {
                return "";
            }
            bits = bits.shiftLeft(5).or(BigInteger.valueOf(digit));
        }
        String id = String.format("%032x", bits.shiftRight(SHORT_LENGTH * 5 - 128));
        return id.replaceFirst("(.{8})(.{4})(.{4})(.{4})(.{12})", "$1-$2-$3-$4-$5");
    }
}
