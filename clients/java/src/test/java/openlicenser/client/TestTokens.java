package openlicenser.client;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.JWSObject;
import com.nimbusds.jose.Payload;
import com.nimbusds.jose.crypto.RSASSASigner;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.interfaces.RSAPublicKey;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** TestTokens signs tokens of one license. */
public final class TestTokens {
    /** The license's id. */
    public static final String LICENSE = "0199d1a2-7c3e-7b5a-9d0e-3f2a1b4c5d6e";

    static final KeyPair KEYS = generate();
    static final PublicKey PUBLIC = PublicKey.of("", (RSAPublicKey) KEYS.getPublic()).orElseThrow();

    private final Map<String, Object> claims = new LinkedHashMap<>();

    private static KeyPair generate() {
        try {
            KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
            generator.initialize(2048);
            return generator.generateKeyPair();
        } catch (GeneralSecurityException e) {
            throw new AssertionError(e);
        }
    }

    /** Returns a token that is good for 90 days. */
    public static TestTokens of(Instant now) {
        TestTokens token = new TestTokens();
        token.claims.put("sub", "authorization_token");
        token.claims.put("iat", now.minus(Duration.ofMinutes(5)).getEpochSecond());
        token.claims.put("exp", now.plus(Duration.ofDays(90)).getEpochSecond());
        token.claims.put("expirationdate", now.plus(Duration.ofDays(3650)).getEpochSecond());
        token.claims.put("licenseid", LICENSE);
        token.claims.put("customername", "Example Ltd");
        token.claims.put("services", "[{\"serviceName\":\"Reports\",\"serviceValue\":\"reports\"}]");
        token.claims.put("appurls", "[{\"URL\":\"https://app.example.com\"},{\"URL\":\"http://localhost:8080\"}]");
        return token;
    }

    /** Sets a claim. */
    public TestTokens with(String name, Object value) {
        claims.put(name, value);
        return this;
    }

    /** Sets until when it is good. */
    public TestTokens until(Instant end) {
        return with("exp", end.getEpochSecond());
    }

    /** Returns it in compact form. */
    public String sign() {
        try {
            JWSHeader header = new JWSHeader.Builder(JWSAlgorithm.RS256).keyID(PUBLIC.kid).build();
            JWSObject token = new JWSObject(header, new Payload(claims));
            token.sign(new RSASSASigner(KEYS.getPrivate()));
            return token.serialize();
        } catch (JOSEException e) {
            throw new AssertionError(e);
        }
    }

    /** Returns a license key. */
    public static String licenseKey(String licenseId) {
        Base64.Encoder base64 = Base64.getUrlEncoder().withoutPadding();
        return base64.encodeToString(Hashes.utf8("{\"alg\":\"HS256\"}")) + "."
                + base64.encodeToString(Hashes.utf8("{\"licenseid\":\"" + licenseId + "\"}")) + ".AAAA";
    }

    /** Returns the JWK set of the key that signs. */
    public static String keySet() {
        return Json.write(Map.of("keys", List.of(PUBLIC.toJwk())));
    }
}
