package openlicenser.client;

import java.net.http.HttpHeaders;
import java.time.Duration;
import java.time.Instant;

/** Answer is what a response of the service leads to. */
final class Answer {
    /** What a service, or what stands before it, can ask for. */
    private static final Duration MAX_RETRY_AFTER = Duration.ofHours(6);

    /** Of a grant; else empty. */
    final String token;
    /** The code of a definite no; else empty. */
    final String refused;
    /** Of all else: nothing changes but when the service is asked again. Else null. */
    final Exception error;
    /** As far as the service says. */
    final Duration retryAfter;
    /** Of the service's clock; ZERO where it does not say. */
    final Instant date;

    private Answer(String token, String refused, Exception error, Duration retryAfter, Instant date) {
        this.token = token;
        this.refused = refused;
        this.error = error;
        this.retryAfter = retryAfter;
        this.date = date;
    }

    static Answer nothing(Exception error, Duration retryAfter) {
        return new Answer("", "", error, retryAfter, Times.ZERO);
    }

    /**
     * Tells the answers of POST /verify-license apart. A captive portal answers too: what is not the one object that
     * the service sends says nothing about the license.
     */
    static Answer read(int status, HttpHeaders headers, byte[] body, Instant now) {
        Instant date = Times.readHttp(headers.firstValue("Date").orElse(""));
        Duration retryAfter = readRetryAfter(headers.firstValue("Retry-After").orElse(""), now);
        String code = codeOf(body);
        String token = status == 200 ? memberOf(body, "message") : "";
        if (!token.isEmpty()) {
            return new Answer(token, "", null, retryAfter, date);
        }
        if (status == 400 && Code.isRefusal(code)) {
            return new Answer("", code, null, retryAfter, date);
        }
        return nothing(new ServerException(status, status == 200 ? "" : code), retryAfter);
    }

    /** Returns the code that a body names, or an empty one. Another text is none of the service's. */
    static String codeOf(byte[] body) {
        String code = memberOf(body, "error");
        return code.matches("[A-Z0-9_]{1,64}") ? code : "";
    }

    private static String memberOf(byte[] body, String name) {
        try {
            return Json.textOrNone(Json.readObject(body), name);
        } catch (Json.MalformedException e) {
            return "";
        }
    }

    /** Reads either form of RFC 9110 section 10.2.3. */
    private static Duration readRetryAfter(String value, Instant now) {
        if (value.matches("[0-9]+")) {
            boolean isLong = value.length() > 9;
            return isLong ? MAX_RETRY_AFTER
                    : Pauses.shorter(Duration.ofSeconds(Long.parseLong(value)), MAX_RETRY_AFTER);
        }
        Instant at = Times.readHttp(value);
        return at.isBefore(now) ? Duration.ZERO : Pauses.shorter(Duration.between(now, at), MAX_RETRY_AFTER);
    }
}
