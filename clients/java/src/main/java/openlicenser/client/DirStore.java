package openlicenser.client;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;

/** DirStore is {@link Store#dir}. Its files are those of the Go client. */
final class DirStore implements Store {
    private static final boolean IS_WINDOWS = System.getProperty("os.name", "").startsWith("Windows");

    private final Path folder;

    DirStore(Path folder) {
        this.folder = folder;
    }

    private Path file(String name) {
        return folder.resolve(name + ".state");
    }

    @Override
    public Optional<byte[]> load(String name) throws IOException {
        try (InputStream file = Files.newInputStream(file(name))) {
            return Optional.of(file.readNBytes(Stored.MAX_BYTES + 1));
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
    }

    /** Writes a temporary file, which Java makes for its user alone, and renames it. */
    @Override
    public void save(String name, byte[] document) throws IOException {
        makeFolder();
        Path temporary = Files.createTempFile(folder, name + ".", ".tmp");
        try {
            // Without SYNC a crash could leave the new name on an empty file.
            Files.write(temporary, document, StandardOpenOption.WRITE, StandardOpenOption.SYNC);
            rename(temporary, file(name));
        } finally {
            delete(temporary);
            sweep(name);
        }
    }

    void makeFolder() throws IOException {
        if (Files.isDirectory(folder)) {
            return;
        }
        boolean isPosix = folder.getFileSystem().supportedFileAttributeViews().contains("posix");
        if (isPosix) {
            FileAttribute<?> forUserAlone =
                    PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));
            Files.createDirectories(folder, forUserAlone);
        } else {
            Files.createDirectories(folder);
        }
    }

    /** Tries again, because Windows renames over no file that another process has open. */
    private static void rename(Path from, Path to) throws IOException {
        for (int left = IS_WINDOWS ? 9 : 0;; left--) {
            try {
                Files.move(from, to, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
                return;
            } catch (IOException e) {
                if (left == 0) {
                    throw e;
                }
            }
            try {
                Thread.sleep(10);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                left = 1;
            }
        }
    }

    /** Removes what a crash has left of earlier writes. What cannot be removed is left: the document was saved. */
    private void sweep(String name) {
        FileTime hourAgo = FileTime.from(Instant.now().minus(Duration.ofHours(1)));
        try (DirectoryStream<Path> left = Files.newDirectoryStream(folder, name + ".*.tmp")) {
            for (Path file : left) {
                if (Files.getLastModifiedTime(file).compareTo(hourAgo) < 0) {
                    delete(file);
                }
            }
        } catch (IOException | RuntimeException e) {
            // the next save tries again
        }
    }

    private static void delete(Path file) {
        try {
            Files.deleteIfExists(file);
        } catch (IOException | RuntimeException e) {
            // the next sweep tries again
        }
    }
}
