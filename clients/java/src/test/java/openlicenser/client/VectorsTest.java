package openlicenser.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.io.IOException;
import java.net.http.HttpHeaders;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** What every client must do: clients/vectors, whose README.md says what the members are. */
class VectorsTest {
    private static Rules rules(Members asker, byte[] trusted, boolean firstUse, long offlineSeconds) {
        Config config = Config.builder().url("https://licenses.example.com").key(asker.text("licensekey"))
                .fingerprint(asker.text("fingerprint")).service(asker.text("service"))
                .released(asker.time("released")).trusted(trusted).trustOnFirstUse(firstUse)
                .offline(Duration.ofSeconds(offlineSeconds)).store(Store.memory()).build();
        return CheckedConfig.of(config).rules;
    }

    private static Answer answer(Members response, Instant now) {
        HttpHeaders headers = HttpHeaders.of(response.object("headers").headers(), (name, value) -> true);
        return Answer.read((int) response.number("status"), headers, Hashes.utf8(response.text("body")), now);
    }

    private static Stream<DynamicTest> each(Members file, Consumer<Members> test) {
        List<Members> cases = file.objects("cases");
        assertTrue(cases.size() > 5, "there are " + cases.size() + " cases");
        Stream<DynamicTest> tests = cases.stream().map(c -> {
            String name = c.text("name");
            return dynamicTest(name, () -> test.accept(c));
        });
        return Stream.concat(tests, Stream.of(dynamicTest("each member was looked at", file::done)));
    }

    @TestFactory
    Stream<DynamicTest> tokens() {
        Members file = Members.read("tokens.json");
        byte[] keys = file.json("keys");
        Duration skew = Duration.ofSeconds(file.number("skewseconds"));
        return each(file, c -> {
            Rules r = rules(c.object("asker"), keys, false, 0);
            Instant now = c.time("now");
            assertEquals(skew, r.skew);
            Answer answer = Answer.read(200, HttpHeaders.of(Map.of(), (name, value) -> true),
                    Hashes.utf8(Json.write(Map.of("message", c.text("token")))), now);
            Knowledge k = r.started(Stored.NONE, Times.ZERO, now, 0.5);
            k = r.answered(k, answer, now, now, 0.5);
            State s = r.state(k, now);
            assertEquals(c.flag("good"), !k.stored.token.isEmpty(), s::toString);
            assertEquals(c.text("status"), s.status().label(), s::toString);
            assertEquals(c.text("reason"), s.reason(), s::toString);
        });
    }

    @TestFactory
    Stream<DynamicTest> responses() {
        Members file = Members.read("responses.json");
        Rules r = rules(file.object("asker"), file.json("keys"), false, 0);
        Instant now = file.time("now");
        String old = file.text("stored");
        return each(file, c -> {
            Answer answer = answer(c.object("response"), now);
            for (double random : new double[] {0, 0.5, 1}) {
                Stored before = Stored.granted(Stored.nothing(Hashes.ofKey(r.key), Times.ZERO, List.of()),
                        Times.ZERO, now.minus(Duration.ofDays(1)), old);
                Knowledge k = r.started(before, Times.ZERO, now, random);
                k = r.answered(k, answer, now, now, random);
                State s = r.state(k, now);
                String token = k.stored.token.isEmpty() ? "none" : k.stored.token.equals(old) ? "old" : "new";
                String leads = !s.reason().isEmpty() ? "refused" : s.error().isPresent() ? "nothing" : "granted";
                String code = s.error().filter(e -> e instanceof ServerException)
                        .map(e -> ((ServerException) e).code()).orElse(s.reason());
                assertEquals(c.text("leads"), leads, s::toString);
                assertEquals(c.text("code"), code, s::toString);
                assertEquals(c.text("token"), token);
                assertEquals(c.text("status"), s.status().label());
                Duration pause = Duration.between(now, s.retryAt().orElseThrow());
                assertTrue(pause.compareTo(Duration.ofSeconds(c.number("notbefore"))) >= 0, pause::toString);
                assertTrue(pause.compareTo(Duration.ofSeconds(c.number("notafter"))) <= 0, pause::toString);
            }
        });
    }

    @TestFactory
    Stream<DynamicTest> hosts() {
        return each(Members.read("hosts.json"), c -> {
            c.flag("issued"); // of the service
            c.text("sent");
            List<String> urls = List.of("https://before.example", c.text("url"));
            License license = new License("", "", Times.ZERO, Times.ZERO, "", List.of(), urls);
            for (String host : c.texts("allowed")) {
                assertTrue(license.allowsHost(host), host);
            }
            for (String host : c.texts("refused")) {
                assertFalse(license.allowsHost(host), host);
            }
        });
    }

    @TestFactory
    Stream<DynamicTest> states() {
        Members file = Members.read("states.json");
        Rules r = rules(file.object("asker"), file.json("keys"), false, 0);
        Instant now = file.time("now");
        return each(file, c -> {
            String padding = " ".repeat((int) c.number("padbytes"));
            Stored stored = stored(Hashes.utf8(c.text("document") + padding));
            Knowledge k = r.started(stored, Stored.readMark(Hashes.utf8(c.text("clock"))), now, 0.5);
            State s = r.state(k, now);
            assertEquals(c.text("status"), s.status().label(), s::toString);
            assertEquals(c.text("reason"), s.reason(), s::toString);
            assertEquals(c.flag("asksfirst"), !s.retryAt().orElseThrow().isAfter(now));
        });
    }

    private static Stored stored(byte[] document) {
        try {
            return Stored.read(document);
        } catch (Stored.DamagedException e) {
            return Stored.NONE;
        }
    }

    @TestFactory
    Stream<DynamicTest> clocks() {
        return each(Members.read("clocks.json"), VectorsTest::play);
    }

    @TestFactory
    Stream<DynamicTest> keySets() {
        return each(Members.read("keysets.json"), VectorsTest::play);
    }

    private static void play(Members c) {
        boolean firstUse = c.flag("trustonfirstuse");
        byte[] trusted = c.json("trusted"); // an empty set where keys are fetched
        Player player = new Player(rules(c.object("asker"), firstUse ? new byte[0] : trusted, firstUse,
                c.number("offlineseconds")));
        int i = 0;
        for (Members step : c.objects("steps")) {
            player.play("step " + i++, step);
        }
    }

    /** Player is a product without clock, disk and network. */
    private static final class Player {
        private final Rules rules;
        private Knowledge known = new Knowledge();
        private byte[] document = {};
        private byte[] clock = {};
        private boolean keysFetched;

        Player(Rules rules) {
            this.rules = rules;
        }

        void play(String label, Members step) {
            Instant at = step.time("at");
            String event = step.text("event");
            keysFetched = false;
            Members response = step.object("response");
            String keySet = step.text("keyset");
            switch (event) {
                case "start":
                    known = rules.started(stored(document), Stored.readMark(clock), at, 0.5);
                    break;
                case "look":
                    known = rules.seen(known, at);
                    break;
                case "fail":
                    Answer none = Answer.nothing(new IOException("no network"), Duration.ZERO);
                    known = rules.answered(known, none, at, at, 0.5);
                    break;
                case "answer":
                    Answer answer = settled(answer(response, at), keySet, at);
                    known = rules.answered(known, answer, at, at, 0.5);
                    break;
                default:
                    throw new AssertionError("there is no event " + event);
            }
            document = known.stored.write();
            clock = Stored.writeMark(known.mark);
            compare(label + ", " + event, step.object("want"), at);
        }

        private Answer settled(Answer answer, String keySet, Instant at) {
            if (!rules.needsKeys(known, answer, at)) {
                return answer;
            }
            keysFetched = true;
            known = rules.keysTried(known, at);
            try {
                known = rules.keysFetched(known, PublicKeys.readSet(Hashes.utf8(keySet)));
                return answer;
            } catch (PublicKeys.UnusableException e) {
                return Answer.nothing(e, Duration.ZERO);
            }
        }

        private void compare(String label, Members want, Instant at) {
            State s = rules.state(known, at);
            assertEquals(want.text("status"), s.status().label(), () -> label + ": " + s);
            assertEquals(want.text("reason"), s.reason(), label);
            assertEquals(want.flag("keysfetched"), keysFetched, label);
            assertEquals(want.time("checkedat"), s.checkedAt().orElse(Times.ZERO), label);
            assertEquals(want.time("usableuntil"), s.usableUntil().orElse(Times.ZERO), label);
            assertEquals(want.time("retryat"), s.retryAt().orElse(Times.ZERO), label);
        }
    }
}
