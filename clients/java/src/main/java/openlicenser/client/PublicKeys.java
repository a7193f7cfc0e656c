package openlicenser.client;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.interfaces.RSAPublicKey;
import java.security.spec.X509EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** PublicKeys reads JWK sets and PEM. */
final class PublicKeys {
    /** Each key of one kid is tried, so a set must not hold any number of them. */
    private static final int MAX_KEYS = 100;

    private static final Pattern PEM_BLOCK =
            Pattern.compile("-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\\s]*)-----END \\1-----");

    private PublicKeys() {
    }

    /** UnusableException says why there is no key in a text. */
    static final class UnusableException extends Exception {
        private static final long serialVersionUID = 1;

        UnusableException(String message) {
            super(message);
        }
    }

    /** Reads what a product brings. Editors write a byte order mark before it. */
    static List<PublicKey> read(byte[] data) throws UnusableException {
        if (isUtf16(data)) {
            throw new UnusableException("the text is in UTF-16, and must be in UTF-8");
        }
        String text = new String(data, StandardCharsets.UTF_8);
        text = (text.startsWith("\uFEFF") ? text.substring(1) : text).strip();
        return text.startsWith("{") ? readSet(Hashes.utf8(text)) : readPem(text);
    }

    /** With and without its byte order mark: neither JSON nor PEM has a zero in it. */
    private static boolean isUtf16(byte[] data) {
        boolean isMarked = data.length > 1 && ((data[0] & data[1]) & 0xFF) == 0xFE && (data[0] ^ data[1]) == 1;
        return isMarked || new String(data, StandardCharsets.ISO_8859_1).indexOf('\0') >= 0;
    }

    /** Leaves out keys of other types and uses, which a set may hold (RFC 7517 section 5). */
    static List<PublicKey> readSet(byte[] set) throws UnusableException {
        List<PublicKey> keys = new ArrayList<>();
        try {
            List<Object> members = Json.list(Json.readObject(set).get("keys"));
            if (members.size() > MAX_KEYS) {
                throw new UnusableException("a JWK set of " + members.size() + " keys");
            }
            for (Object member : members) {
                if (member instanceof java.util.Map) {
                    PublicKey.ofJwk(Json.object(member)).ifPresent(keys::add);
                }
            }
        } catch (Json.MalformedException e) {
            throw new UnusableException("no JWK set: " + e.getMessage());
        }
        return requireSome(keys);
    }

    /** Leaves out what is no RSA key, as a set does: files of certificates hold more. */
    private static List<PublicKey> readPem(String text) throws UnusableException {
        List<PublicKey> keys = new ArrayList<>();
        for (Matcher block = PEM_BLOCK.matcher(text); block.find();) {
            ofDer(block.group(2)).flatMap(key -> PublicKey.of("", key)).ifPresent(keys::add);
        }
        return requireSome(keys);
    }

    private static Optional<RSAPublicKey> ofDer(String base64) {
        try {
            byte[] der = Base64.getMimeDecoder().decode(base64);
            return Optional.of((RSAPublicKey) KeyFactory.getInstance("RSA")
                    .generatePublic(new X509EncodedKeySpec(der)));
        } catch (GeneralSecurityException | IllegalArgumentException e) {
            return Optional.empty();
        }
    }

    private static List<PublicKey> requireSome(List<PublicKey> keys) throws UnusableException {
        if (keys.isEmpty()) {
            throw new UnusableException("there is no RSA key of 2048 bits or more in it that signs by RS256");
        }
        return keys;
    }

    /** Returns the keys that a token of the kid may be signed with. A token without one may be signed with any. */
    static List<PublicKey> withKid(List<PublicKey> keys, String kid) {
        return keys.stream().filter(k -> kid.isEmpty() || k.kid.equals(kid)).collect(Collectors.toList());
    }
}
