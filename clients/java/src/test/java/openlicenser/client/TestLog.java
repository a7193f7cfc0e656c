package openlicenser.client;

import java.util.List;
import java.util.ResourceBundle;

/** TestLog collects what is logged. */
final class TestLog implements System.Logger {
    private final List<String> lines;

    TestLog(List<String> lines) {
        this.lines = lines;
    }

    @Override
    public String getName() {
        return "test";
    }

    @Override
    public boolean isLoggable(Level level) {
        return true;
    }

    @Override
    public void log(Level level, ResourceBundle bundle, String message, Throwable thrown) {
        lines.add(message + thrown);
    }

    @Override
    public void log(Level level, ResourceBundle bundle, String format, Object... parameters) {
        lines.add(format + List.of(parameters == null ? new Object[0] : parameters));
    }
}
