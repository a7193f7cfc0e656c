package openlicenser.client;

import java.util.List;
import java.util.Optional;

/** Hosts compares hosts with the application URLs of a license. */
final class Hosts {
    private static final int MAX_HOST = 255; // characters; DNS names have 253

    private Hosts() {
    }

    static boolean allow(List<String> urls, String host) {
        Optional<String> asked = host == null ? Optional.empty() : of(host);
        return asked.isPresent() && urls.stream().anyMatch(url -> allows(url, asked.get()));
    }

    private static boolean allows(String url, String host) {
        if (url.startsWith("re:")) {
            return finds(url.substring(3), host);
        }
        int end = url.indexOf("://");
        String scheme = end < 0 ? "" : lowerAscii(url.substring(0, end));
        if (!scheme.equals("http") && !scheme.equals("https")) {
            return false;
        }
        String authority = url.substring(end + 3).split("[/?#]", 2)[0];
        return of(authority).filter(host::equals).isPresent();
    }

    private static boolean finds(String pattern, String host) {
        try {
            return HostPattern.read(pattern).isFoundIn(host);
        } catch (HostPattern.UnreadableException e) {
            return false;
        }
    }

    /** Returns a host in small letters without port and brackets, and nothing for what can be none. */
    static Optional<String> of(String authority) {
        if (authority.chars().anyMatch(Hosts::isNoHostCharacter)) {
            return Optional.empty();
        }
        String host = lowerAscii(authority);
        String port = "";
        if (host.startsWith("[")) {
            int end = host.indexOf(']');
            if (end < 0 || end + 1 < host.length() && host.charAt(end + 1) != ':') {
                return Optional.empty();
            }
            port = host.substring(Math.min(end + 2, host.length()));
            host = host.substring(1, end);
        } else if (host.indexOf(':') >= 0 && host.indexOf(':') == host.lastIndexOf(':')) {
            int colon = host.indexOf(':');
            port = host.substring(colon + 1);
            host = host.substring(0, colon);
        }
        boolean isHost = !host.isEmpty() && host.length() <= MAX_HOST
                && port.chars().allMatch(c -> c >= '0' && c <= '9');
        return isHost ? Optional.of(host) : Optional.empty();
    }

    private static boolean isNoHostCharacter(int c) {
        return c <= ' ' || c == 0x7F || "/?#@\\*".indexOf(c) >= 0;
    }

    private static String lowerAscii(String text) {
        StringBuilder lower = new StringBuilder(text);
        for (int i = 0; i < lower.length(); i++) {
            char c = lower.charAt(i);
            if (c >= 'A' && c <= 'Z') {
                lower.setCharAt(i, (char) (c + ('a' - 'A')));
            }
        }
        return lower.toString();
    }
}
