package openlicenser.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** LocalServer is the local server of the repository that this client is in, on the loopback interface. */
final class LocalServer implements AutoCloseable {
    private final HttpClient http = HttpClient.newHttpClient();
    private final Path folder;
    private final Path binary;
    private final String address;
    private final Thread atExit = new Thread(this::stop);
    private Process running;

    LocalServer(Path binary, Path folder) throws IOException {
        this.binary = binary;
        this.folder = folder;
        try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            address = "127.0.0.1:" + free.getLocalPort(); // the server comes back at the same one
        }
        Runtime.getRuntime().addShutdownHook(atExit);
        start();
    }

    /** Builds a program of the repository. */
    static Path build(Path module, String source, Path binary) throws IOException, InterruptedException {
        Path program = System.getProperty("os.name").startsWith("Windows") ? Path.of(binary + ".exe") : binary;
        run(module, Map.of(), "go", "build", "-o", program.toAbsolutePath().toString(), source);
        return program.toAbsolutePath();
    }

    /** Runs a program, and returns what it printed. */
    static String run(Path in, Map<String, String> environment, String... command)
            throws IOException, InterruptedException {
        Path errors = Files.createTempFile("errors", ".txt");
        ProcessBuilder builder = new ProcessBuilder(command).directory(in.toFile()).redirectError(errors.toFile());
        builder.environment().putAll(environment);
        Process process = builder.start();
        try {
            process.getOutputStream().close();
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertTrue(process.waitFor(300, TimeUnit.SECONDS), () -> command[0] + " does not end");
            assertEquals(0, process.exitValue(), () -> Arrays.toString(command) + "\n" + output + readText(errors));
            return output;
        } finally {
            process.destroyForcibly();
            Files.deleteIfExists(errors);
        }
    }

    private static String readText(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            return e.toString();
        }
    }

    String url() {
        return "http://" + address;
    }

    private String data() {
        return folder.resolve("data").toAbsolutePath().toString();
    }

    void start() throws IOException {
        running = new ProcessBuilder(binary.toString(), "serve", "--listen", address, "--data", data())
                .redirectError(folder.resolve("errors.txt").toFile()).start();
        BufferedReader output = new BufferedReader(
                new InputStreamReader(running.getInputStream(), StandardCharsets.UTF_8));
        for (String line = output.readLine(); line != null; line = output.readLine()) {
            if (line.contains("listens on")) {
                Process serving = running;
                Thread drain = new Thread(() -> drain(serving, output));
                drain.setDaemon(true);
                drain.start();
                return;
            }
        }
        throw new AssertionError("the server does not start: " + readText(folder.resolve("errors.txt")));
    }

    private static void drain(Process serving, BufferedReader output) {
        try {
            while (serving.isAlive() && output.readLine() != null) {
                continue; // the log
            }
        } catch (IOException e) {
            // it was stopped
        }
    }

    void stop() {
        if (running != null) {
            running.destroyForcibly().onExit().join();
            running = null;
        }
    }

    @Override
    public void close() {
        stop();
        Runtime.getRuntime().removeShutdownHook(atExit);
    }

    /** Calls the command line on the server's data. */
    String licenser(String... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(binary.toString()));
        command.addAll(List.of(arguments));
        command.addAll(List.of("--data", data()));
        return run(folder, Map.of(), command.toArray(new String[0]));
    }

    /** Has the successor of the token key sign, which was prepared long enough ago. */
    void promote() throws IOException, InterruptedException {
        FileTime ago = FileTime.from(Instant.now().minus(Duration.ofHours(49))); // its key is published since then
        Files.setLastModifiedTime(Path.of(data(), "token-key-next.pem"), ago);
        licenser("token-key", "promote");
    }

    /** Calls the vendor's API. */
    Map<String, Object> call(String path, String body) throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(url() + path))
                .POST(HttpRequest.BodyPublishers.ofString(body)).build();
        HttpResponse<String> response = http.send(request, HttpResponse.BodyHandlers.ofString());
        assertEquals(2, response.statusCode() / 100, response::body);
        try {
            return response.body().isEmpty() ? Map.of() : Json.object(Json.read(response.body()));
        } catch (Json.MalformedException e) {
            throw new AssertionError(response.body(), e);
        }
    }
}
