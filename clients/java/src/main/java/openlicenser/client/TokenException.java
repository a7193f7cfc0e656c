package openlicenser.client;

/** TokenException says that a token is none of the vendor, or is for another license or device. */
public final class TokenException extends LicenseException {
    private static final long serialVersionUID = 1;

    /** Whether the token names a key that the product does not know. */
    private final boolean unknownKey;

    TokenException(String message) {
        this(message, false);
    }

    private TokenException(String message, boolean unknownKey) {
        super(message);
        this.unknownKey = unknownKey;
    }

    static TokenException ofUnknownKey() {
        return new TokenException("the token is signed with a key that this product does not know", true);
    }

    boolean isOfUnknownKey() {
        return unknownKey;
    }
}
