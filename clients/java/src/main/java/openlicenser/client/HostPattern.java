package openlicenser.client;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntPredicate;

/**
 * HostPattern is a regular expression of hosts. java.util.regex goes back and tries again, for years with some
 * patterns, and reads what RE2 reads otherwise. This one takes each character of a host once, and reads only what RE2,
 * Java and JavaScript read alike:
 *
 * <pre>
 * pattern = branch { "|" branch }
 * branch  = { "^" | "$" | atom [ ( "?" | "*" | "+" | "{n}" | "{n,}" | "{n,m}" ) [ "?" ] ] }
 * atom    = literal | "." | "\d" | "\w" | "\D" | "\W" | "\" punctuation | class | ( "(" | "(?:" ) pattern ")"
 * class   = "[" [ "^" ] member { member } "]"
 * member  = "\d" | "\w" | one [ "-" one ]
 * one     = literal | "\" punctuation
 * </pre>
 */
final class HostPattern {
    private static final int MAX_CHARACTERS = 2048; // more than any that the service issues has
    private static final int MAX_DEPTH = 250; // groups in groups
    private static final int MAX_COUNT = 1000; // that of RE2, those of nested repeats multiplied
    private static final int MAX_STATES = 20_000; // bounds how long a pattern takes
    private static final int UNBOUNDED = -1;

    private final List<State> states = new ArrayList<>();
    private final int end;
    private final int first;

    private HostPattern(String pattern) throws UnreadableException {
        if (pattern.length() > MAX_CHARACTERS) {
            throw new UnreadableException("it is too long");
        }
        Part whole = new Reader(pattern).whole();
        end = add(State.passed(State.ALWAYS));
        first = whole.build(this, end);
    }

    /** UnreadableException says that a pattern is none, means other things to other engines, or would take too long. */
    static final class UnreadableException extends Exception {
        private static final long serialVersionUID = 1;

        UnreadableException(String message) {
            super(message);
        }
    }

    static HostPattern read(String pattern) throws UnreadableException {
        return new HostPattern(pattern);
    }

    /** State takes a character, or is passed without one. */
    private static final class State {
        static final int ALWAYS = 0;
        static final int AT_START = 1;
        static final int AT_END = 2;

        final IntPredicate takes; // null where it is passed
        final int where;
        int[] to = {};

        private State(IntPredicate takes, int where) {
            this.takes = takes;
            this.where = where;
        }

        static State taking(IntPredicate takes) {
            return new State(takes, ALWAYS);
        }

        static State passed(int where) {
            return new State(null, where);
        }

        boolean isPassed(int at, int length) {
            return where == ALWAYS || where == AT_START && at == 0 || where == AT_END && at == length;
        }
    }

    private int add(State state, int... to) throws UnreadableException {
        if (states.size() >= MAX_STATES) {
            throw new UnreadableException("it would take too long");
        }
        state.to = to;
        states.add(state);
        return states.size() - 1;
    }

    /** Searches a text. It is in all states at once that the characters so far can lead to. */
    boolean isFoundIn(String text) {
        int[] characters = text.codePoints().toArray();
        int[] seen = new int[states.size()];
        Arrays.fill(seen, -1);
        Open reached = new Open();
        for (int at = 0; at <= characters.length; at++) {
            Open open = reached;
            reached = new Open();
            open.push(first); // a search begins everywhere
            while (!open.isEmpty()) {
                int index = open.pop();
                if (index == end) {
                    return true;
                }
                if (seen[index] == at) {
                    continue;
                }
                seen[index] = at;
                State state = states.get(index);
                if (state.takes != null) {
                    if (at < characters.length && state.takes.test(characters[at])) {
                        reached.push(state.to);
                    }
                } else if (state.isPassed(at, characters.length)) {
                    open.push(state.to);
                }
            }
        }
        return false;
    }

    /** Open is a stack of states. */
    private static final class Open {
        private int[] items = new int[64];
        private int size;

        void push(int... added) {
            if (size + added.length > items.length) {
                items = Arrays.copyOf(items, 2 * (size + added.length));
            }
            System.arraycopy(added, 0, items, size, added.length);
            size += added.length;
        }

        int pop() {
            return items[--size];
        }

        boolean isEmpty() {
            return size == 0;
        }
    }

    /** Part is a part of a pattern. A repeat builds what it repeats as often as it says. */
    private abstract static class Part {
        /** How often the innermost part of it is repeated. */
        final int count;

        Part(int count) {
            this.count = count;
        }

        /** Adds states that lead to the next one, and returns the first of them. */
        abstract int build(HostPattern into, int next) throws UnreadableException;
    }

    private static final class One extends Part {
        private final IntPredicate takes; // null for an anchor
        private final int where;

        One(IntPredicate takes, int where) {
            super(1);
            this.takes = takes;
            this.where = where;
        }

        @Override
        int build(HostPattern into, int next) throws UnreadableException {
            return into.add(takes == null ? State.passed(where) : State.taking(takes), next);
        }
    }

    private static final class Sequence extends Part {
        private final List<Part> parts;

        Sequence(List<Part> parts) {
            super(most(parts));
            this.parts = parts;
        }

        @Override
        int build(HostPattern into, int next) throws UnreadableException {
            int after = next;
            for (int i = parts.size() - 1; i >= 0; i--) {
                after = parts.get(i).build(into, after);
            }
            return after;
        }
    }

    private static final class Choice extends Part {
        private final List<Part> branches;

        Choice(List<Part> branches) {
            super(most(branches));
            this.branches = branches;
        }

        @Override
        int build(HostPattern into, int next) throws UnreadableException {
            int[] to = new int[branches.size()];
            for (int i = 0; i < to.length; i++) {
                to[i] = branches.get(i).build(into, next);
            }
            return into.add(State.passed(State.ALWAYS), to);
        }
    }

    private static int most(List<Part> parts) {
        return parts.stream().mapToInt(p -> p.count).max().orElse(1);
    }

    private static final class Repeat extends Part {
        private final Part part;
        private final int least;
        private final int most;

        Repeat(Part part, int least, int most, int count) {
            super(count);
            this.part = part;
            this.least = least;
            this.most = most;
        }

        @Override
        int build(HostPattern into, int next) throws UnreadableException {
            int after = next;
            if (most == UNBOUNDED) {
                after = into.add(State.passed(State.ALWAYS), next);
                into.states.get(after).to = new int[] {next, part.build(into, after)};
            }
            for (int i = least; i < most; i++) {
                after = into.add(State.passed(State.ALWAYS), part.build(into, after), next);
            }
            for (int i = 0; i < least; i++) {
                after = part.build(into, after);
            }
            return after;
        }
    }

    /** Reader reads a pattern. */
    private static final class Reader {
        private static final int NONE = -1;

        private final int[] pattern;
        private int at;
        private int depth;

        Reader(String pattern) {
            this.pattern = pattern.codePoints().toArray();
        }

        Part whole() throws UnreadableException {
            Part whole = branches();
            if (next() != NONE) {
                throw new UnreadableException("a ) without (");
            }
            return whole;
        }

        private int next() {
            return peek(0);
        }

        private int peek(int ahead) {
            return at + ahead < pattern.length ? pattern[at + ahead] : NONE;
        }

        private boolean skip(char wanted) {
            boolean is = next() == wanted;
            at += is ? 1 : 0;
            return is;
        }

        private Part branches() throws UnreadableException {
            List<Part> branches = new ArrayList<>();
            do {
                branches.add(branch());
            } while (skip('|'));
            return new Choice(branches);
        }

        private Part branch() throws UnreadableException {
            List<Part> parts = new ArrayList<>();
            while (next() != NONE && next() != '|' && next() != ')') {
                parts.add(part());
            }
            return new Sequence(parts);
        }

        /** JavaScript repeats no anchor. */
        private Part part() throws UnreadableException {
            if (skip('^')) {
                return new One(null, State.AT_START);
            }
            if (skip('$')) {
                return new One(null, State.AT_END);
            }
            Part atom = atom();
            if (skip('?')) {
                return repeated(atom, 0, 1);
            }
            if (skip('*')) {
                return repeated(atom, 0, UNBOUNDED);
            }
            if (skip('+')) {
                return repeated(atom, 1, UNBOUNDED);
            }
            return skip('{') ? counted(atom) : atom;
        }

        private Part counted(Part atom) throws UnreadableException {
            int least = number();
            int most = least;
            if (skip(',')) {
                most = next() == '}' ? UNBOUNDED : number();
            }
            if (!skip('}')) {
                throw new UnreadableException("a { without a count");
            }
            return repeated(atom, least, most);
        }

        private int number() throws UnreadableException {
            int start = at;
            int number = 0;
            for (; next() >= '0' && next() <= '9'; at++) {
                number = Math.min(10 * number + next() - '0', MAX_COUNT + 1);
            }
            if (at == start || at > start + 1 && pattern[start] == '0') {
                throw new UnreadableException("a count that engines read differently");
            }
            return number;
        }

        /** It does not matter whether a repeat is lazy. */
        private Part repeated(Part part, int least, int most) throws UnreadableException {
            skip('?');
            int times = part.count * Math.max(1, most == UNBOUNDED ? least : most);
            if (most != UNBOUNDED && most < least || times > MAX_COUNT) {
                throw new UnreadableException("a count that is none");
            }
            return new Repeat(part, least, most, most == 0 ? 1 : times);
        }

        private Part atom() throws UnreadableException {
            if (skip('(')) {
                return group();
            }
            if (skip('[')) {
                return new One(characterClass(), State.ALWAYS);
            }
            if (skip('.')) {
                return new One(c -> c != '\n', State.ALWAYS);
            }
            IntPredicate known = escape("dwDW");
            if (known != null) {
                return new One(known, State.ALWAYS);
            }
            int only = one("*+?{");
            return new One(c -> c == only, State.ALWAYS);
        }

        private Part group() throws UnreadableException {
            if (skip('?') && !skip(':')) {
                throw new UnreadableException("a group that engines read differently");
            }
            if (++depth > MAX_DEPTH) {
                throw new UnreadableException("too many groups in groups");
            }
            Part inner = branches();
            depth--;
            if (!skip(')')) {
                throw new UnreadableException("a ( without )");
            }
            return inner;
        }

        /** Returns what an escape of one of the letters takes, or null where there is none. */
        private IntPredicate escape(String letters) {
            int letter = next() == '\\' ? peek(1) : NONE;
            if (letter == NONE || letters.indexOf(letter) < 0) {
                return null;
            }
            at += 2;
            IntPredicate takes = letter == 'd' || letter == 'D' ? Reader::isDigit : Reader::isOfWord;
            return letter < 'a' ? takes.negate() : takes;
        }

        private static boolean isDigit(int c) {
            return c >= '0' && c <= '9';
        }

        private static boolean isOfWord(int c) {
            return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_';
        }

        /** Reads a literal that is none of some, or escaped punctuation. */
        private int one(String except) throws UnreadableException {
            boolean isEscaped = skip('\\');
            int character = next();
            at++;
            boolean isPunctuation =
                    character > ' ' && character < 0x7F && (character == '_' || !isOfWord(character));
            if (character == NONE || (isEscaped ? !isPunctuation : except.indexOf(character) >= 0)) {
                throw new UnreadableException("a character that engines read differently");
            }
            return character;
        }

        private IntPredicate characterClass() throws UnreadableException {
            boolean isNegated = skip('^');
            List<IntPredicate> members = new ArrayList<>();
            do {
                members.add(member());
            } while (!skip(']'));
            IntPredicate[] all = members.toArray(new IntPredicate[0]);
            return new IntPredicate() {
                private int last = NONE; // all copies of a class are asked for the same character
                private boolean is;

                @Override
                public boolean test(int c) {
                    if (c != last) {
                        last = c;
                        is = Arrays.stream(all).anyMatch(m -> m.test(c)) != isNegated;
                    }
                    return is;
                }
            };
        }

        private IntPredicate member() throws UnreadableException {
            IntPredicate known = escape("dw");
            if (known != null) {
                return isRange() ? noRange(known) : known;
            }
            if (next() == '&' && peek(1) == '&') {
                throw new UnreadableException("an intersection, which only some engines know");
            }
            int from = one("[]");
            if (!isRange()) {
                return c -> c == from;
            }
            skip('-');
            int to = one("[]");
            if (to < from) {
                throw new UnreadableException("a range whose end is before its start");
            }
            return c -> c >= from && c <= to;
        }

        /** Reads [\w-.], which is no range. */
        private IntPredicate noRange(IntPredicate before) throws UnreadableException {
            skip('-');
            IntPredicate known = escape("dw");
            int only = known == null ? one("[]") : NONE;
            if (isRange()) {
                throw new UnreadableException("a range that engines read differently");
            }
            return c -> before.test(c) || c == '-' || (known == null ? c == only : known.test(c));
        }

        /** A - at the end of a class is one. */
        private boolean isRange() {
            return next() == '-' && peek(1) != ']' && peek(1) != NONE;
        }
    }
}
