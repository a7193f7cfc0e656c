package openlicenser.client;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.jwk.RSAKey;
import java.math.BigInteger;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.interfaces.RSAPublicKey;
import java.security.spec.RSAPublicKeySpec;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/** PublicKey is an RSA key that tokens are checked with. */
final class PublicKey {
    private static final int MIN_BITS = 2048;

    final String kid;
    final RSAPublicKey key;

    private PublicKey(String kid, RSAPublicKey key) {
        this.kid = kid;
        this.key = key;
    }

    /** Returns a key, or nothing where it is too weak. One without a kid gets the thumbprint of RFC 7638. */
    static Optional<PublicKey> of(String kid, RSAPublicKey key) {
        BigInteger exponent = key.getPublicExponent();
        if (key.getModulus().bitLength() < MIN_BITS || exponent.compareTo(BigInteger.valueOf(3)) < 0
                || exponent.bitLength() > 32 || !exponent.testBit(0)) {
            return Optional.empty();
        }
        try {
            String named = kid.isEmpty() ? new RSAKey.Builder(key).build().computeThumbprint().toString() : kid;
            return Optional.of(new PublicKey(named, key));
        } catch (JOSEException e) {
            return Optional.empty();
        }
    }

    /** Returns the key of a JWK (RFC 7517, RFC 7518 section 6.3.1), or nothing for other types and uses. */
    static Optional<PublicKey> ofJwk(Map<String, Object> jwk) {
        try {
            String use = Json.text(jwk, "use");
            String algorithm = Json.text(jwk, "alg");
            boolean isUsable = Json.text(jwk, "kty").equals("RSA") && (use.isEmpty() || use.equals("sig"))
                    && (algorithm.isEmpty() || algorithm.equals("RS256"));
            Optional<byte[]> modulus = Hashes.fromBase64Url(Json.text(jwk, "n"));
            Optional<byte[]> exponent = Hashes.fromBase64Url(Json.text(jwk, "e"));
            if (!isUsable || modulus.isEmpty() || exponent.isEmpty()) {
                return Optional.empty();
            }
            RSAPublicKeySpec numbers = new RSAPublicKeySpec(
                    new BigInteger(1, modulus.get()), new BigInteger(1, exponent.get()));
            return of(Json.text(jwk, "kid"), (RSAPublicKey) KeyFactory.getInstance("RSA").generatePublic(numbers));
        } catch (Json.MalformedException | GeneralSecurityException e) {
            return Optional.empty();
        }
    }

    /** Returns the form in which the key is stored. */
    Map<String, Object> toJwk() {
        RSAKey numbers = new RSAKey.Builder(key).build();
        Map<String, Object> jwk = new LinkedHashMap<>();
        jwk.put("kty", "RSA");
        jwk.put("kid", kid);
        jwk.put("n", numbers.getModulus().toString());
        jwk.put("e", numbers.getPublicExponent().toString());
        return jwk;
    }
}
