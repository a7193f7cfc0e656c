package openlicenser.client;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** LicenseService sends the requests of a product. */
final class LicenseService {
    static final Duration TIMEOUT = Duration.ofSeconds(15);

    private static final String VERIFY = "/verify-license";
    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(10);

    private final URI base;
    private final Duration timeout;
    private final Set<CompletableFuture<?>> running = ConcurrentHashMap.newKeySet();
    private volatile HttpClient http; // null after close

    /**
     * Takes a client that follows no redirects. A captive portal sends them, and what they lead to must not get the
     * license key.
     */
    LicenseService(URI base, HttpClient given, Duration timeout) {
        this.base = base;
        this.timeout = timeout;
        this.http = given == null ? Shared.HTTP : given;
    }

    /**
     * Shared is for all clients of products that bring no HttpClient: before Java 21 one has a thread and descriptors
     * until it is collected. One request a day needs no HTTP/2, and proxies trip over the upgrade that Java asks for
     * without TLS.
     */
    private static final class Shared {
        static final HttpClient HTTP = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1)
                .connectTimeout(CONNECT_TIMEOUT).followRedirects(HttpClient.Redirect.NEVER)
                .proxy(new EnvironmentProxies(System.getenv())).build();
    }

    /** Returns the URL that the paths follow. It throws an IllegalArgumentException where there can be none. */
    static URI base(String url) {
        URI given;
        try {
            given = new URI(url);
        } catch (URISyntaxException e) {
            throw new IllegalArgumentException("is no URL"); // the exception's message has all of it
        }
        boolean isHttp = "https".equalsIgnoreCase(given.getScheme()) || "http".equalsIgnoreCase(given.getScheme());
        if (!isHttp || given.getRawAuthority() == null) {
            throw new IllegalArgumentException("is no http(s) URL");
        }
        if (given.getRawAuthority().contains("@")) {
            throw new IllegalArgumentException("has a user name or a password, which nothing sends");
        }
        if (Authority.read(given.getRawAuthority()).isEmpty()) {
            throw new IllegalArgumentException("has no host, or no port");
        }
        if (given.getHost() == null) {
            throw new IllegalArgumentException("has a host that java.net.http cannot ask, as one with an underscore");
        }
        String path = given.getRawPath().replaceFirst("/+$", "");
        if (path.endsWith(VERIFY)) { // products of the original name the function itself
            path = path.substring(0, path.length() - VERIFY.length());
        }
        return at(given, path);
    }

    private static URI at(URI base, String path) {
        String query = base.getRawQuery() == null ? "" : "?" + base.getRawQuery();
        return URI.create(base.getScheme() + "://" + base.getRawAuthority() + path + query);
    }

    /** Response is one that has been read to its end. */
    static final class Response {
        final int status;
        final HttpHeaders headers;
        final byte[] body;

        private Response(HttpResponse<byte[]> r) {
            status = r.statusCode();
            headers = r.headers();
            body = r.body();
        }

        /** Returns a Refusal for a definite no, and else the exception of all answers that bring nothing. */
        ServerException errorOrRefusal() {
            String code = Answer.codeOf(body);
            if (status == 400 && (Code.isRefusal(code) || code.equals(Code.RELEASE_LIMIT_REACHED))) {
                throw new Refusal(code);
            }
            return new ServerException(status, code);
        }
    }

    Response verify(Rules r) throws IOException {
        return post(VERIFY, r, Map.of("fingerprint", r.fingerprint, "devicename", r.deviceName));
    }

    Response listDevices(Rules r) throws IOException {
        return post("/list-devices", r, Map.of());
    }

    /** An empty device is this one. */
    Response release(Rules r, String device) throws IOException {
        String own = device.isEmpty() ? r.fingerprint : "";
        return post("/release-device", r, Map.of("device", device, "fingerprint", own));
    }

    /** Returns the JWK set that the service publishes, as it is. */
    byte[] keySet() throws IOException {
        Response got = send(request("/.well-known/jwks.json").GET());
        if (got.status != 200) {
            throw new ServerException(got.status, Answer.codeOf(got.body));
        }
        return got.body;
    }

    private Response post(String path, Rules r, Map<String, String> members) throws IOException {
        Map<String, String> question = new LinkedHashMap<>();
        question.put("licensekey", r.key);
        members.forEach((name, value) -> {
            if (!value.isEmpty()) {
                question.put(name, value);
            }
        });
        return send(request(path).header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(Json.write(question), StandardCharsets.UTF_8)));
    }

    private HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(at(base, base.getRawPath() + path)).timeout(timeout)
                .header("Accept", "application/json")
                .header("User-Agent", "open-licenser-java/" + LicenseClient.VERSION);
    }

    /** The timeout of a request ends with its headers, so the whole exchange is timed here. */
    private Response send(HttpRequest.Builder request) throws IOException {
        HttpClient client = http;
        if (client == null) {
            throw new IOException(LicenseClient.CLOSED);
        }
        CappedBody body = new CappedBody();
        CompletableFuture<HttpResponse<byte[]>> exchange = client.sendAsync(request.build(), info -> body);
        running.add(exchange); // before close is looked for once more, so that it is cancelled
        try {
            if (http == null) {
                throw new IOException(LicenseClient.CLOSED);
            }
            return new Response(exchange.get(timeout.toNanos(), TimeUnit.NANOSECONDS));
        } catch (TimeoutException e) {
            throw new HttpTimeoutException("the license service gave no answer within " + timeout.toSeconds() + " s");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("the thread was interrupted");
        } catch (CancellationException e) {
            throw new IOException(LicenseClient.CLOSED, e);
        } catch (ExecutionException e) {
            String message = e.getCause().getMessage(); // some exceptions of the network have none
            throw new IOException("the license service was not reached: "
                    + (message == null ? e.getCause().getClass().getSimpleName() : message), e.getCause());
        } finally {
            running.remove(exchange);
            exchange.cancel(true);
            body.cancel();
        }
    }

    /** Ends what is under way. */
    void close() {
        http = null;
        running.forEach(exchange -> exchange.cancel(true));
    }
}
