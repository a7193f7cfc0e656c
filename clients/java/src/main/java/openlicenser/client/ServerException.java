package openlicenser.client;

import java.io.IOException;

/** ServerException is an answer that says nothing about the license: a fault, or a mistake in the request. */
public final class ServerException extends IOException {
    private static final long serialVersionUID = 1;

    /** The status of HTTP. */
    private final int status;
    /** The error that the body names. */
    private final String code;

    ServerException(int status, String code) {
        super(code.isEmpty() ? "an answer with status " + status + " that is none of the license service"
                : "the license service answered " + status + " " + code);
        this.status = status;
        this.code = code;
    }

    /** {@return the status of HTTP} */
    public int status() {
        return status;
    }

    /** {@return the code in the answer; empty where it has none, as that of a captive portal} */
    public String code() {
        return code;
    }
}
