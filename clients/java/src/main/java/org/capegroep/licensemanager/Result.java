package org.capegroep.licensemanager;

/** Result is whether something holds, and a message about it. */
public class Result {
    private final boolean result;
    private final String message;

    /**
     * Makes a result.
     *
     * @param result whether it holds
     * @param message why not, or what else there is to say
     */
    public Result(boolean result, String message) {
        this.result = result;
        this.message = message;
    }

    /** {@return whether it holds} */
    public boolean getResult() {
        return result;
    }

    /** {@return why not, or what else there is to say; it may be empty} */
    public String getMessage() {
        return message;
    }
}
