package openlicenser.client;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.crypto.RSASSAVerifier;
import com.nimbusds.jose.util.Base64URL;
import java.nio.charset.StandardCharsets;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Tokens reads authorization tokens: JWS in compact form, signed with RS256. */
final class Tokens {
    private static final String SUBJECT = "authorization_token";

    private Tokens() {
    }

    /** Drops what stands around the token of a license file. */
    static String trim(String text) {
        int start = 0;
        int end = text.length();
        while (start < end && isAround(text.charAt(start))) {
            start++;
        }
        while (start < end && isAround(text.charAt(end - 1))) {
            end--;
        }
        return text.substring(start, end);
    }

    private static boolean isAround(char c) {
        return " \t\r\n\uFEFF".indexOf(c) >= 0;
    }

    /** Checks form, signature and claims, and throws a TokenException. It compares nothing with the clock. */
    static Grant read(String text, List<PublicKey> keys) {
        String[] parts = trim(text).split("\\.", -1);
        if (parts.length != 3) {
            throw none("there are " + parts.length + " parts");
        }
        Map<String, Object> header = object(parts[0]);
        if (!"RS256".equals(header.get("alg"))) {
            throw none("it is not signed by RS256");
        }
        if (header.containsKey("crit")) { // RFC 7515 section 4.1.11
            throw none("the header has crit, and no extension is known");
        }
        String kid = Json.textOrNone(header, "kid");
        if (header.containsKey("kid") && kid.isEmpty()) {
            throw none("the kid is no text");
        }
        List<PublicKey> candidates = PublicKeys.withKid(keys, kid);
        if (candidates.isEmpty()) {
            throw TokenException.ofUnknownKey();
        }
        bytes(parts[2]);
        byte[] signed = (parts[0] + "." + parts[1]).getBytes(StandardCharsets.US_ASCII);
        Base64URL signature = new Base64URL(parts[2]);
        if (candidates.stream().noneMatch(k -> isSigned(k, signed, signature))) {
            throw none("the signature is another one");
        }
        return claims(object(parts[1]), kid);
    }

    private static boolean isSigned(PublicKey key, byte[] signed, Base64URL signature) {
        try {
            return new RSASSAVerifier(key.key).verify(new JWSHeader(JWSAlgorithm.RS256), signed, signature);
        } catch (JOSEException e) {
            return false;
        }
    }

    private static TokenException none(String why) {
        return new TokenException("no token of this vendor: " + why);
    }

    private static byte[] bytes(String part) {
        return Hashes.fromBase64Url(part).orElseThrow(() -> none("a part is no base64url"));
    }

    private static Map<String, Object> object(String part) {
        try {
            return Json.readObject(bytes(part));
        } catch (Json.MalformedException e) {
            throw none("a part is no JSON object");
        }
    }

    private static Grant claims(Map<String, Object> claims, String kid) {
        if (!SUBJECT.equals(claims.get("sub"))) {
            throw new TokenException("the JWT is no authorization token");
        }
        License license = new License(text(claims, "licenseid"), text(claims, "customername"),
                seconds(claims, "expirationdate"), updatesUntil(claims), text(claims, "device"),
                services(Json.textOrNone(claims, "services")), appUrls(Json.textOrNone(claims, "appurls")));
        Instant from = claims.containsKey("nbf") ? seconds(claims, "nbf") : Times.ZERO;
        return new Grant(license, kid, seconds(claims, "iat"), from, seconds(claims, "exp"));
    }

    private static Instant seconds(Map<String, Object> claims, String name) {
        if (!(claims.get(name) instanceof Long)) {
            throw new TokenException("the claim " + name + " is no number of seconds");
        }
        return Times.ofSeconds((Long) claims.get(name));
    }

    private static String text(Map<String, Object> claims, String name) {
        if (claims.containsKey(name) && !(claims.get(name) instanceof String)) {
            throw new TokenException("the claim " + name + " is no text");
        }
        return Json.textOrNone(claims, name);
    }

    private static Instant updatesUntil(Map<String, Object> claims) {
        try {
            return claims.containsKey("updatesuntil") ? Times.read(text(claims, "updatesuntil")) : Times.ZERO;
        } catch (DateTimeException e) {
            throw new TokenException("the claim updatesuntil is no date");
        }
    }

    /** Returns none where the claim cannot be read: the product is refused then. */
    private static List<Service> services(String claim) {
        List<Service> services = new ArrayList<>();
        for (Map<String, Object> member : members(claim)) {
            services.add(new Service(Json.textOrNone(member, "serviceName"), Json.textOrNone(member, "serviceValue")));
        }
        return services;
    }

    private static List<String> appUrls(String claim) {
        List<String> urls = new ArrayList<>();
        for (Map<String, Object> member : members(claim)) {
            urls.add(Json.textOrNone(member, "URL"));
        }
        return urls;
    }

    private static List<Map<String, Object>> members(String claim) {
        List<Map<String, Object>> members = new ArrayList<>();
        try {
            for (Object member : Json.list(Json.read(claim))) {
                members.add(Json.object(member));
            }
        } catch (Json.MalformedException e) {
            return List.of();
        }
        return members;
    }
}
