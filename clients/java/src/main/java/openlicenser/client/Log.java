package openlicenser.client;

/** Log is the product's log, or none. No exception of this package holds the license key or the token. */
final class Log {
    private final System.Logger logger; // null for none

    Log(System.Logger logger) {
        this.logger = logger;
    }

    void warning(String what) {
        write(System.Logger.Level.WARNING, what, null);
    }

    void warning(String what, Throwable why) {
        write(System.Logger.Level.WARNING, what, why);
    }

    void error(String what, Throwable why) {
        write(System.Logger.Level.ERROR, what, why);
    }

    private void write(System.Logger.Level level, String what, Throwable why) {
        if (logger == null) {
            return;
        }
        try {
            logger.log(level, why == null ? what : what + ": " + why);
        } catch (Throwable e) {
            // a log that fails must not end the product
        }
    }
}
