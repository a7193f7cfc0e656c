package openlicenser.client;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyFactory;
import java.security.interfaces.RSAPublicKey;
import java.security.spec.X509EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
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

    static List<PublicKey> read(byte[] data) throws UnusableException {
        String text = new String(data, StandardCharsets.UTF_8).strip();
        return text.startsWith("{") ? readSet(data) : readPem(text);
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

    private static List<PublicKey> readPem(String text) throws UnusableException {
        List<PublicKey> keys = new ArrayList<>();
        for (Matcher block = PEM_BLOCK.matcher(text); block.find();) {
            Key key = ofDer(block.group(1), block.group(2));
            if (key instanceof RSAPublicKey) {
                PublicKey.of("", (RSAPublicKey) key).ifPresent(keys::add);
            }
        }
        return requireSome(keys);
    }

    private static Key ofDer(String type, String base64) throws UnusableException {
        for (String algorithm : List.of("RSA", "EC")) {
            try {
                byte[] der = Base64.getMimeDecoder().decode(base64);
                return KeyFactory.getInstance(algorithm).generatePublic(new X509EncodedKeySpec(der));
            } catch (GeneralSecurityException | IllegalArgumentException e) {
                // another algorithm, or none
            }
        }
        throw new UnusableException(type + ": no public key in X.509 form");
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
