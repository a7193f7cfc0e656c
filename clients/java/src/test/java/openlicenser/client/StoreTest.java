package openlicenser.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What restarts keep. */
class StoreTest {
    private static List<String> names(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(f -> f.getFileName().toString()).sorted().collect(Collectors.toList());
        }
    }

    @Test
    void aFolderThatIsShared(@TempDir Path temp) throws Exception {
        Store store = Store.dir(temp.resolve("a").resolve("b"));
        assertEquals(Optional.empty(), store.load("license"));
        List<String> texts = List.of("a".repeat(10_000), "b".repeat(20_000));
        ConcurrentLinkedQueue<Exception> failures = new ConcurrentLinkedQueue<>();
        List<Thread> threads = new ArrayList<>();
        for (String text : texts) {
            threads.add(new Thread(() -> {
                try {
                    for (int i = 0; i < 20; i++) {
                        store.save("license", Hashes.utf8(text));
                        String got = new String(store.load("license").orElseThrow());
                        if (!texts.contains(got)) {
                            throw new IOException("half of a document: " + got.length());
                        }
                    }
                } catch (IOException | RuntimeException e) {
                    failures.add(e);
                }
            }));
        }
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join();
        }
        assertEquals(List.of(), List.copyOf(failures));
        assertEquals(List.of("license.state"), names(temp.resolve("a").resolve("b")));
    }

    @Test
    void whatACrashHasLeftIsRemoved(@TempDir Path folder) throws IOException {
        Path crashed = Files.createFile(folder.resolve("license.1.tmp"));
        Files.setLastModifiedTime(crashed, FileTime.from(Instant.now().minus(Duration.ofHours(2))));
        Files.createFile(folder.resolve("license.2.tmp")); // another process is at it
        Store.dir(folder).save("license", new byte[] {1});
        assertEquals(List.of("license.2.tmp", "license.state"), names(folder));
    }

    @Test
    void whatCannotBeRemovedHoldsUpNothing(@TempDir Path folder) throws IOException {
        Path left = Files.createDirectories(folder.resolve("license.1.tmp").resolve("full")).getParent();
        Files.setLastModifiedTime(left, FileTime.from(Instant.now().minus(Duration.ofHours(2))));
        Store.dir(folder).save("license", new byte[] {1});
        assertArrayEquals(new byte[] {1}, Store.dir(folder).load("license").orElseThrow());
    }

    @Test
    void theFilesAreForTheirUserAlone(@TempDir Path temp) throws IOException {
        assumeTrue(FileSystems.getDefault().supportedFileAttributeViews().contains("posix"));
        Path folder = temp.resolve("new");
        Store.dir(folder).save("license", new byte[] {1});
        assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(folder)));
        Path file = folder.resolve("license.state");
        assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
    }

    @Test
    void aFolderThatCannotBeMadeIsAnException(@TempDir Path temp) throws IOException {
        Path file = Files.createFile(temp.resolve("file"));
        assertThrows(IOException.class, () -> Store.dir(file.resolve("license")).save("license", new byte[0]));
        assertEquals(List.of("file"), names(temp));
    }

    @Test
    void anInterruptLosesNothing(@TempDir Path folder) throws IOException {
        Store store = Store.dir(folder);
        Thread.currentThread().interrupt();
        store.save("license", new byte[] {1, 2});
        assertArrayEquals(new byte[] {1, 2}, store.load("license").orElseThrow());
        assertTrue(Thread.interrupted());
    }

    @Test
    void memoryKeepsCopies() throws IOException {
        Store store = Store.memory();
        byte[] document = {1};
        store.save("license", document);
        document[0] = 2;
        store.load("license").orElseThrow()[0] = 3;
        assertArrayEquals(new byte[] {1}, store.load("license").orElseThrow());
    }

    @Test
    void aDocumentIsTheOneOfTheGoClient() throws Exception {
        Instant asked = Instant.parse("2027-01-01T00:00:00.5Z");
        Stored stored = Stored.granted(Stored.nothing("k", Times.ZERO, List.of()), asked, asked.plusSeconds(1), "t");
        String body = "{\"version\":1,\"key\":\"k\",\"asked\":\"2027-01-01T00:00:00.500Z\","
                + "\"checked\":\"2027-01-01T00:00:01.500Z\",\"token\":\"t\"}";
        String document = Hashes.hex(Hashes.sha256(Hashes.utf8(body))) + "\n" + body + "\n";
        assertEquals(document, new String(stored.write()));
        Stored read = Stored.read(stored.withKeys(List.of(TestTokens.PUBLIC)).write());
        assertEquals(asked, read.asked);
        assertEquals(TestTokens.PUBLIC.key.getModulus(), read.keys.get(0).key.getModulus());
    }

    @Test
    void aDocumentOfMoreThanAMegabyteIsNone() throws Exception {
        Stored nothing = Stored.nothing("k", Times.ZERO, List.of());
        String token = "t".repeat(Stored.MAX_BYTES);
        byte[] document = Stored.granted(nothing, Times.ZERO, Times.ZERO, token).write();
        assertThrows(Stored.DamagedException.class, () -> Stored.read(document));
        byte[] shorter = Stored.granted(nothing, Times.ZERO, Times.ZERO, token.substring(1000)).write();
        assertEquals(token.length() - 1000, Stored.read(shorter).token.length());
    }

    @Test
    void whateverAStoreHoldsAStartMakesSomethingOfIt() {
        Random random = new Random(1);
        Rules rules = CheckedConfig.of(Config.builder().url("https://x.example").key("x")
                .trusted(TestTokens.keySet()).store(Store.memory()).build()).rules;
        byte[] good = Stored.refused(Stored.nothing(Hashes.ofKey("x"), Times.ZERO, List.of(TestTokens.PUBLIC)),
                Instant.EPOCH, Instant.EPOCH, Code.LICENSE_REVOKED).write();
        int unusable = 0;
        for (int i = 0; i < 3000; i++) {
            byte[] document = good.clone();
            document[random.nextInt(document.length)] = (byte) random.nextInt(256);
            Stored stored = Stored.NONE;
            try {
                stored = Stored.read(document);
            } catch (Stored.DamagedException e) {
                unusable++;
            }
            Knowledge k = rules.started(stored, Stored.readMark(document), Instant.EPOCH, 0.5);
            Status status = rules.state(k, Instant.EPOCH).status();
            assertTrue(status == Status.UNKNOWN || status == Status.REFUSED);
        }
        assertTrue(unusable > 2900, "usable although damaged: " + (3000 - unusable)); // the same byte, or a line break
    }
}
