package openlicenser.client;

/** Refusal is a definite no: the license may not be used, or its seat not be given back. */
public final class Refusal extends LicenseException {
    private static final long serialVersionUID = 1;

    /** Why the license may not be used. */
    private final String code;

    Refusal(String code) {
        super((code.equals(Code.RELEASE_LIMIT_REACHED) ? "too many seats were given back of late: "
                : "the license may not be used: ") + code);
        this.code = code;
    }

    /** {@return why the license may not be used: one of {@link Code}, or what a later service says} */
    public String code() {
        return code;
    }
}
