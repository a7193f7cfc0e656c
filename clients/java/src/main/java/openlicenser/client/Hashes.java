package openlicenser.client;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.Base64;
import java.util.Optional;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** Hashes holds the hashes and text forms that clients in all languages share. */
final class Hashes {
    private Hashes() {
    }

    static byte[] sha256(byte[] data) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(data);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every Java platform has it
        }
    }

    static byte[] hmac(byte[] key, byte[] data) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(key, "HmacSHA256"));
            return mac.doFinal(data);
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e); // every Java platform has it
        }
    }

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String hex(byte[] data) {
        StringBuilder hex = new StringBuilder();
        for (byte b : data) {
            hex.append(Character.forDigit(b >> 4 & 15, 16)).append(Character.forDigit(b & 15, 16));
        }
        return hex.toString();
    }

    static String base64Url(byte[] data) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(data);
    }

    /** Returns what a base64url text without padding holds, and nothing where another spelling would hold the same. */
    static Optional<byte[]> fromBase64Url(String text) {
        try {
            byte[] data = Base64.getUrlDecoder().decode(text);
            return base64Url(data).equals(text) ? Optional.of(data) : Optional.empty();
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }

    /** Returns what stored states have in place of a license key. */
    static String ofKey(String key) {
        return hex(sha256(utf8("Open Licenser stored state " + key)));
    }

    /** Returns the id that the service gives a device on a license. */
    static String deviceId(String licenseId, String fingerprint) {
        return base64Url(Arrays.copyOf(sha256(utf8(licenseId + "\0" + fingerprint)), 16));
    }
}
