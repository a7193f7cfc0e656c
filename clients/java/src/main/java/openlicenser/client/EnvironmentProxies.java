package openlicenser.client;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.SocketAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * EnvironmentProxies takes the proxy of Java's system properties, and where they name none that of HTTPS_PROXY,
 * HTTP_PROXY and NO_PROXY, as the Go client does. Java's HTTP client knows no SOCKS, and asks proxies that want a
 * password in a way that needs settings of its own: a product that needs these brings its own client.
 */
final class EnvironmentProxies extends ProxySelector {
    private static final List<Proxy> DIRECT = List.of(Proxy.NO_PROXY);

    private final Map<String, String> environment;

    EnvironmentProxies(Map<String, String> environment) {
        this.environment = environment;
    }

    @Override
    public List<Proxy> select(URI uri) {
        ProxySelector system = ProxySelector.getDefault();
        List<Proxy> proxies = system == null ? DIRECT : system.select(uri);
        if (proxies.stream().anyMatch(p -> p.type() != Proxy.Type.DIRECT)) {
            return proxies;
        }
        return isExcluded(uri) ? DIRECT : proxy(uri).map(List::of).orElse(DIRECT);
    }

    /** Returns what is wrong with the proxy of a URL. It has a name only: the value can hold a password. */
    Optional<String> problem(URI uri) {
        String name = nameFor(uri);
        boolean isUnread = !name.isEmpty() && !variable(name).isEmpty() && proxy(uri).isEmpty();
        boolean isAsked = isUnread && !isExcluded(uri) && select(uri).equals(DIRECT);
        return isAsked ? Optional.of(name + " is no http proxy that can be read: the service is asked without one")
                : Optional.empty();
    }

    private String nameFor(URI uri) {
        if ("https".equalsIgnoreCase(uri.getScheme())) {
            return "HTTPS_PROXY";
        }
        return environment.containsKey("REQUEST_METHOD") ? "" : "HTTP_PROXY"; // in CGI a caller sets it by a header
    }

    private Optional<Proxy> proxy(URI uri) {
        String name = nameFor(uri);
        String set = name.isEmpty() ? "" : variable(name).strip();
        int end = set.indexOf("://");
        if (set.isEmpty() || end >= 0 && !set.substring(0, end).equalsIgnoreCase("http")) {
            return Optional.empty();
        }
        String authority = (end < 0 ? set : set.substring(end + 3)).split("[/?#]", 2)[0];
        return Authority.read(authority).map(a -> new Proxy(Proxy.Type.HTTP,
                InetSocketAddress.createUnresolved(a.host, a.port < 0 ? 80 : a.port)));
    }

    private String variable(String name) {
        String value = environment.getOrDefault(name, "");
        return value.isEmpty() ? environment.getOrDefault(name.toLowerCase(Locale.ROOT), "") : value;
    }

    private boolean isExcluded(URI uri) {
        Optional<Authority> authority = Authority.read(uri.getRawAuthority());
        if (authority.isEmpty()) {
            return false;
        }
        String host = authority.get().host.toLowerCase(Locale.ROOT).replaceAll("[\\[\\]]", "");
        if (host.equals("localhost") || address(host).filter(InetAddress::isLoopbackAddress).isPresent()) {
            return true;
        }
        int given = authority.get().port;
        int port = given >= 0 ? given : "https".equalsIgnoreCase(uri.getScheme()) ? 443 : 80;
        for (String entry : variable("NO_PROXY").toLowerCase(Locale.ROOT).split("[,\\s]+")) {
            if (!entry.isEmpty() && excludes(entry, host, port)) {
                return true;
            }
        }
        return false;
    }

    /** An entry is a name, which is for its subdomains too, an address, or a range of them; and may have a port. */
    private static boolean excludes(String entry, String host, int port) {
        if (entry.equals("*")) {
            return true;
        }
        if (entry.contains("/")) {
            return isInRange(entry, host);
        }
        String name = entry;
        int colon = entry.lastIndexOf(':');
        if (colon >= 0 && (entry.indexOf(':') == colon || entry.startsWith("["))) {
            if (!entry.endsWith("]") && !entry.substring(colon + 1).equals(String.valueOf(port))) {
                return false;
            }
            name = entry.endsWith("]") ? entry : entry.substring(0, colon);
        }
        name = name.replaceAll("[\\[\\]]", "");
        Optional<InetAddress> address = address(name);
        if (address.isPresent()) {
            return address.equals(address(host));
        }
        boolean isForSubdomainsOnly = name.startsWith(".");
        String suffix = name.replaceFirst("^\\*?\\.?", ".");
        return host.endsWith(suffix) || !isForSubdomainsOnly && host.equals(suffix.substring(1));
    }

    private static boolean isInRange(String range, String host) {
        String[] parts = range.split("/", 2);
        Optional<InetAddress> from = address(parts[0]);
        Optional<InetAddress> asked = address(host);
        if (from.isEmpty() || asked.isEmpty() || !parts[1].matches("[0-9]{1,3}")) {
            return false;
        }
        byte[] a = from.get().getAddress();
        byte[] b = asked.get().getAddress();
        int bits = Integer.parseInt(parts[1]);
        if (a.length != b.length || bits > a.length * 8) {
            return false;
        }
        for (int i = 0; i < bits; i++) {
            if (((a[i / 8] ^ b[i / 8]) >> (7 - i % 8) & 1) != 0) {
                return false;
            }
        }
        return true;
    }

    /** Returns the address that a literal says. Names are not looked up. */
    private static Optional<InetAddress> address(String literal) {
        if (!literal.matches("[0-9]{1,3}(\\.[0-9]{1,3}){3}") && !literal.matches("[0-9a-f:.]*:[0-9a-f:.]*")) {
            return Optional.empty();
        }
        try {
            return Optional.of(InetAddress.getByName(literal));
        } catch (UnknownHostException e) {
            return Optional.empty();
        }
    }

    @Override
    public void connectFailed(URI uri, SocketAddress address, IOException error) {
        // the attempt says it
    }
}
