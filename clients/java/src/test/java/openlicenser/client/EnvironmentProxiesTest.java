package openlicenser.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.SocketAddress;
import java.net.URI;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class EnvironmentProxiesTest {
    private static String proxyOf(String url, Map<String, String> environment) {
        Proxy proxy = new EnvironmentProxies(environment).select(URI.create(url)).get(0);
        InetSocketAddress address = (InetSocketAddress) proxy.address();
        return address == null ? "none" : address.getHostString() + ":" + address.getPort();
    }

    @ParameterizedTest
    @CsvSource({
        "https://x.example, HTTPS_PROXY=http://proxy.example:3128, proxy.example:3128",
        "https://x.example, https_proxy=proxy.example:3128, proxy.example:3128",
        "https://x.example, HTTPS_PROXY=http://proxy.example, proxy.example:80",
        "https://x.example, HTTP_PROXY=http://proxy.example:3128, none",
        "http://x.example, HTTP_PROXY=http://proxy.example:3128, proxy.example:3128",
        "http://x.example, HTTP_PROXY=http://proxy.example:3128|REQUEST_METHOD=GET, none",
        "https://x.example, HTTPS_PROXY=socks5://proxy.example:1080, none",
        "https://x.example, HTTPS_PROXY=http://user:password@proxy.example:3128, proxy.example:3128",
        "https://x.example, HTTPS_PROXY=:::, none",
        "https://x.example, HTTPS_PROXY=http://my_proxy:3128/, my_proxy:3128",
        "https://x.example, HTTPS_PROXY=my_proxy, my_proxy:80",
        "https://localhost:8443, HTTPS_PROXY=p.example:1, none",
        "https://127.0.0.1, HTTPS_PROXY=p.example:1, none",
        "https://[::1]:1, HTTPS_PROXY=p.example:1, none",
        "https://x.example, HTTPS_PROXY=p.example:1|NO_PROXY=*, none",
        "https://x.example, HTTPS_PROXY=p.example:1|no_proxy=y.example x.example, none",
        "https://a.X.example, HTTPS_PROXY=p.example:1|NO_PROXY=x.Example, none",
        "https://ax.example, HTTPS_PROXY=p.example:1|NO_PROXY=x.example, p.example:1",
        "https://x.example, HTTPS_PROXY=p.example:1|NO_PROXY=.x.example, p.example:1",
        "https://a.x.example, HTTPS_PROXY=p.example:1|NO_PROXY=.x.example, none",
        "https://a.x.example, HTTPS_PROXY=p.example:1|NO_PROXY=*.x.example, none",
        "https://x.example, HTTPS_PROXY=p.example:1|NO_PROXY=x.example:443, none",
        "https://x.example:8443, HTTPS_PROXY=p.example:1|NO_PROXY=x.example:443, p.example:1",
        "https://192.0.2.7, HTTPS_PROXY=p.example:1|NO_PROXY=192.0.2.7, none",
        "https://192.0.2.7, HTTPS_PROXY=p.example:1|NO_PROXY=192.0.2.0/29, none",
        "https://192.0.2.8, HTTPS_PROXY=p.example:1|NO_PROXY=192.0.2.0/29, p.example:1",
        "https://[2001:db8::7], HTTPS_PROXY=p.example:1|NO_PROXY=2001:db8::/32, none",
        "https://[2001:db8::7], HTTPS_PROXY=p.example:1|NO_PROXY=[2001:db8::7], none",
        "https://192.0.2.7, HTTPS_PROXY=p.example:1|NO_PROXY=192.0.2.0/x, p.example:1",
    })
    void ofTheEnvironment(String url, String environment, String want) {
        Map<String, String> variables = new HashMap<>();
        for (String variable : environment.split("\\|")) {
            variables.put(variable.split("=", 2)[0], variable.split("=", 2)[1]);
        }
        assertEquals(want, proxyOf(url, variables));
    }

    @Test
    void aProxyThatCannotBeReadIsSaid() {
        URI url = URI.create("https://x.example");
        for (String value : List.of(":::", "socks5://p.example:1", "http://user:secret@", "p.example:99999")) {
            String problem = new EnvironmentProxies(Map.of("HTTPS_PROXY", value)).problem(url).orElseThrow();
            assertTrue(problem.contains("HTTPS_PROXY") && !problem.contains("secret"), problem);
            Map<String, String> excluded = Map.of("HTTPS_PROXY", value, "NO_PROXY", "x.example");
            assertTrue(new EnvironmentProxies(excluded).problem(url).isEmpty());
        }
        assertTrue(new EnvironmentProxies(Map.of("HTTPS_PROXY", "p.example:1")).problem(url).isEmpty());
        assertTrue(new EnvironmentProxies(Map.of()).problem(url).isEmpty());
    }

    @Test
    void systemPropertiesComeFirst() {
        ProxySelector before = ProxySelector.getDefault();
        ProxySelector.setDefault(new ProxySelector() {
            @Override
            public List<Proxy> select(URI uri) {
                return List.of(new Proxy(Proxy.Type.HTTP, InetSocketAddress.createUnresolved("own.example", 8080)));
            }

            @Override
            public void connectFailed(URI uri, SocketAddress address, IOException error) {
                throw new AssertionError(error);
            }
        });
        try {
            assertEquals("own.example:8080", proxyOf("https://x.example", Map.of("HTTPS_PROXY", "p.example:1")));
        } finally {
            ProxySelector.setDefault(before);
        }
    }
}
