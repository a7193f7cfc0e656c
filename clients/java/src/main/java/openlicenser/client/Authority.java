package openlicenser.client;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Authority is the host and port of a URL. java.net.URI knows no host with an underscore. */
final class Authority {
    private static final Pattern FORM =
            Pattern.compile("(?:[^@]*@)?(\\[[0-9A-Fa-f:.%]+\\]|[A-Za-z0-9._~-]+)(?::([0-9]{0,5}))?");
    private static final int LAST_PORT = 65_535;

    /** An IPv6 address is in brackets. */
    final String host;
    /** -1 for none. */
    final int port;

    private Authority(String host, int port) {
        this.host = host;
        this.port = port;
    }

    static Optional<Authority> read(String text) {
        Matcher form = FORM.matcher(text);
        if (!form.matches()) {
            return Optional.empty();
        }
        String port = form.group(2);
        int number = port == null || port.isEmpty() ? -1 : Integer.parseInt(port);
        return number > LAST_PORT ? Optional.empty() : Optional.of(new Authority(form.group(1), number));
    }
}
