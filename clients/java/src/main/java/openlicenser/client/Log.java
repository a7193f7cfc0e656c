package openlicenser.client;

/** Log is the product's log, or none. No exception of this package holds the license key or the token. */
final class Log {
    private final System.Logger logger; // null for none

    Log(System.Logger logger) {
        this.logger = logger;
    }

    void warning(String what, Exception why) {
        write(System.Logger.Level.WARNING, what, why);
    }

    void error(String what, Exception why) {
        write(System.Logger.Level.ERROR, what, why);
    }

    private void write(System.Logger.Level level, String what, Exception why) {
        if (logger != null) {
            logger.log(level, what + ": " + why);
        }
    }
}
