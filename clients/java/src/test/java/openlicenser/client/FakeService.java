package openlicenser.client;

import java.io.IOException;
import java.net.Authenticator;
import java.net.CookieHandler;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.time.Clock;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;

/** FakeService answers without a network. */
public final class FakeService extends HttpClient {
    /** Says answers one request. */
    public interface Says {
        /** Returns the answer, or null where there is no network. */
        Said to(String path, Map<String, Object> question);
    }

    /** Said is an answer. */
    public static final class Said {
        final int status;
        final String body;

        /** Makes an answer. */
        public Said(int status, String body) {
            this.status = status;
            this.body = body;
        }
    }

    /** No network. */
    public static final Says UNREACHABLE = (path, question) -> null;

    /** No answer, and no end. */
    static final Said HANGS = new Said(0, "");

    /** The last exchange that hangs. */
    volatile CompletableFuture<?> hanging;
    private final Clock clock;
    private Says says;
    private Map<String, List<String>> headers = new HashMap<>();
    private HttpClient.Redirect redirect = Redirect.NEVER;
    final List<String> paths = new ArrayList<>();
    final List<Instant> asked = new ArrayList<>();

    /** Makes one that grants. */
    public FakeService(Clock clock) {
        this.clock = clock;
        this.says = grants();
    }

    /** Grants for 90 days. */
    public Says grants() {
        return (path, question) -> new Said(200, "{\"message\":\"" + TestTokens.of(clock.instant()).sign() + "\"}");
    }

    /** Refuses. */
    public static Says refuses(String code) {
        return (path, question) -> new Said(400, "{\"error\":\"" + code + "\"}");
    }

    /** Answers so from now on. */
    public synchronized void says(Says next) {
        says = next;
    }

    synchronized void header(String name, String value) {
        headers.put(name, List.of(value));
    }

    void follows(Redirect policy) {
        redirect = policy;
    }

    /** Returns how often it was asked. */
    public synchronized int times() {
        return paths.size();
    }

    @Override
    public <T> CompletableFuture<HttpResponse<T>> sendAsync(HttpRequest request, HttpResponse.BodyHandler<T> handler) {
        Said said;
        HttpHeaders sent;
        synchronized (this) {
            paths.add(request.uri().getPath());
            asked.add(clock.instant());
            said = says.to(request.uri().getPath(), question(request));
            sent = HttpHeaders.of(headers, (name, value) -> true);
        }
        if (said == null) {
            return CompletableFuture.failedFuture(new IOException("there is no network"));
        }
        if (said == HANGS) {
            CompletableFuture<HttpResponse<T>> hangs = new CompletableFuture<>();
            hanging = hangs;
            return hangs;
        }
        HttpResponse.BodySubscriber<T> subscriber = handler.apply(new HttpResponse.ResponseInfo() {
            @Override
            public int statusCode() {
                return said.status;
            }

            @Override
            public HttpHeaders headers() {
                return sent;
            }

            @Override
            public Version version() {
                return Version.HTTP_1_1;
            }
        });
        subscriber.onSubscribe(new NoSubscription());
        subscriber.onNext(List.of(ByteBuffer.wrap(Hashes.utf8(said.body))));
        subscriber.onComplete();
        return subscriber.getBody().toCompletableFuture().thenApply(body -> new Response<>(request, said, sent, body));
    }

    private static Map<String, Object> question(HttpRequest request) {
        if (request.bodyPublisher().isEmpty()) {
            return Map.of();
        }
        CappedBody read = new CappedBody();
        request.bodyPublisher().get().subscribe(new Flow.Subscriber<ByteBuffer>() {
            @Override
            public void onSubscribe(Flow.Subscription s) {
                read.onSubscribe(s);
            }

            @Override
            public void onNext(ByteBuffer part) {
                read.onNext(List.of(part));
            }

            @Override
            public void onError(Throwable error) {
                read.onError(error);
            }

            @Override
            public void onComplete() {
                read.onComplete();
            }
        });
        try {
            return Json.readObject(read.getBody().toCompletableFuture().join());
        } catch (Json.MalformedException e) {
            throw new AssertionError(e);
        }
    }

    private static final class NoSubscription implements Flow.Subscription {
        @Override
        public void request(long n) {
            // all comes at once
        }

        @Override
        public void cancel() {
            // all has come
        }
    }

    private static final class Response<T> implements HttpResponse<T> {
        private final HttpRequest request;
        private final Said said;
        private final HttpHeaders headers;
        private final T body;

        Response(HttpRequest request, Said said, HttpHeaders headers, T body) {
            this.request = request;
            this.said = said;
            this.headers = headers;
            this.body = body;
        }

        @Override
        public int statusCode() {
            return said.status;
        }

        @Override
        public HttpRequest request() {
            return request;
        }

        @Override
        public Optional<HttpResponse<T>> previousResponse() {
            return Optional.empty();
        }

        @Override
        public HttpHeaders headers() {
            return headers;
        }

        @Override
        public T body() {
            return body;
        }

        @Override
        public Optional<javax.net.ssl.SSLSession> sslSession() {
            return Optional.empty();
        }

        @Override
        public URI uri() {
            return request.uri();
        }

        @Override
        public Version version() {
            return Version.HTTP_1_1;
        }
    }

    @Override
    public Redirect followRedirects() {
        return redirect;
    }

    @Override
    public <T> HttpResponse<T> send(HttpRequest request, HttpResponse.BodyHandler<T> handler) {
        throw new UnsupportedOperationException();
    }

    @Override
    public <T> CompletableFuture<HttpResponse<T>> sendAsync(HttpRequest request, HttpResponse.BodyHandler<T> handler,
            HttpResponse.PushPromiseHandler<T> push) {
        throw new UnsupportedOperationException();
    }

    @Override
    public Optional<CookieHandler> cookieHandler() {
        return Optional.empty();
    }

    @Override
    public Optional<java.time.Duration> connectTimeout() {
        return Optional.empty();
    }

    @Override
    public Optional<ProxySelector> proxy() {
        return Optional.empty();
    }

    @Override
    public SSLContext sslContext() {
        throw new UnsupportedOperationException();
    }

    @Override
    public SSLParameters sslParameters() {
        throw new UnsupportedOperationException();
    }

    @Override
    public Optional<Authenticator> authenticator() {
        return Optional.empty();
    }

    @Override
    public Version version() {
        return Version.HTTP_1_1;
    }

    @Override
    public Optional<Executor> executor() {
        return Optional.empty();
    }
}
