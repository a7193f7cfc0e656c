package urlpattern

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// acceptedPatterns holds, by what is special about it, what a vendor may license.
var acceptedPatterns = map[string]string{
	"one host":                          `^localhost$`,
	"host with escaped dots":            `^app\.example\.com$`,
	"host with unescaped dots":          `^app.example.com$`,
	"host in capitals":                  `^APP\.Example\.COM$`,
	"host with hyphen and underscore":   `^my-app_1\.example\.com$`,
	"host with an escaped hyphen":       `^my\-app\.example\.com$`,
	"international host":                `^xn--mnchen-3ya\.de$`,
	"any subdomain or none":             `^(.+\.)?example\.com$`,
	"labels and a domain":               `^([a-z0-9-]+\.)*example\.com$`,
	"labels and several domains":        `^([a-z0-9-]+\.)*(example\.com|example\.org|sample\.net)$`,
	"labels of RFC 1123":                `^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+example\.com$`,
	"any labels of RFC 1123":            `^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,63}$`,
	"one label and a domain":            `^[^.]+\.example\.com$`,
	"one label of at most 63":           `^[a-z0-9-]{1,63}\.example\.com$`,
	"one to four labels of at most 63":  `^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){1,3}$`,
	"numbered host":                     `^app[0-9]{1,3}\.example\.(com|org)$`,
	"stage before the host":             `^((dev|test|acc|prod)-)?app\d*\.example\.com$`,
	"anything before a domain":          `^.*\.mxapps\.io$`,
	"anything on both sides":            `^.*\.(dev|test)\..*$`,
	"two labels of anything":            `^.+\..+\.example\.com$`,
	"two adjacent repeats":              `^.*.*$`,
	"anything":                          `^.*$`,
	"private address":                   `^10\.0\.\d+\.\d+$`,
	"private addresses":                 `^(10|192\.168|172\.(1[6-9]|2\d|3[01]))(\.\d{1,3}){2,3}$`,
	"words joined by hyphens":           `^(\w+-)*\w+\.example\.com$`,
	"group that does not capture":       `^(?:[a-z]+\.){2}example\.(?:com|nl|co\.uk)$`,
	"group that can match nothing":      `^app(-?\d*)\.example\.com$`,
	"group within groups":               `^((((a))))\.example\.com$`,
	"count exact":                       `^[a-f0-9]{8}\.example\.com$`,
	"count with no upper end":           `^[a-z]{3,}\.example\.com$`,
	"count from zero":                   `^[a-z]{0,3}\.example\.com$`,
	"count of one":                      `^a{1}\.example\.com$`,
	"count to the longest host name":    `^[a-z]{1,253}$`,
	"counts nested to 1000 copies":      `^([a-z]{0,99}-){10}$`,
	"class with escapes":                `^[\w\.\-]+$`,
	"class of digits":                   `^[\d.]+$`,
	"class with the hyphen first":       `^[-a-z]+$`,
	"class of a hyphen":                 `^a[-]b$`,
	"class negated with a hyphen first": `^[^-]+-[^-]+$`,
	"class of an underscore and a dot":  `^[_.]$`,
	"class of one range of one":         `^[a-a]$`,
	"alternatives that begin alike":     `^((app|api|apx|dev|demo|test)[0-9]*\.)+example\.com$`,
	"five alternatives begin alike":     `^((app|api|apx|apy|apz)\.)+com$`,
	"large count after anything":        `^.*a.{200}$`,
	"labels and labels":                 `^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$`,
	"any host of RFC 1123": `^(([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])\.)*` +
		`([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])$`,
	"any address":                    `^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$`,
	"labels without two hyphens":     `^([a-z0-9]+(-[a-z0-9]+)*\.)+[a-z]{2,}$`,
	"parts joined by hyphens":        `^app-[a-z]+-[0-9]+-[a-z]+\.example\.com$`,
	"any of many stages":             `^.*\.(dev|test|acc|prod|stage|qa|uat|demo|beta|lab)\..*$`,
	"alternatives that overlap once": `^(a|ab|[a-z]+)\.example\.com$`,
	"longest":                        `^` + strings.Repeat("a", MaxPattern-2) + `$`,
}

// What a refusal says, in part.
const (
	saysAnchored  = "begins with ^ and ends with $"
	saysASCII     = "visible ASCII"
	saysHost      = "cannot occur"
	saysEscape    = `\. \- \d \w`
	saysGroup     = "no groups but ( ) and (?: )"
	saysEmpty     = "no empty alternative"
	saysNullable  = "must not repeat what can match nothing"
	saysOneRepeat = "at most one of ? * +"
	saysCounts    = "must write counts as"
	saysBounds    = "with n at most m"
	saysCopies    = "once its counted repeats are written out"
	saysRange     = "must have ranges"
	saysHyphen    = "- first or last"
	saysClass     = "in a character class"
	saysAmbiguous = "share a text in many ways"
)

// refusedPatterns holds, by what is wrong with it, what a vendor may not license, and what the refusal says.
var refusedPatterns = map[string]struct{ pattern, says string }{
	"one character too long":          {`^` + strings.Repeat("a", MaxPattern-1) + `$`, "at most 256 characters"},
	"nothing at all":                  {``, saysAnchored},
	"one character that is an anchor": {`^`, saysAnchored},
	"no ^":                            {`example\.com$`, saysAnchored},
	"no $":                            {`^example\.com`, saysAnchored},
	"$ escaped":                       {`^example\.com\$`, saysAnchored},
	"\\A and \\z for anchors":         {`\Aexample\.com\z`, saysAnchored},
	"^ twice":                         {`^^example\.com$`, "^ only as its first character"},
	"$ twice":                         {`^example\.com$$`, "$ only as its last"},
	"anchors within a group":          {`^(^a$|^b$)$`, "^ only as its first character"},
	"alternatives half anchored":      {`^a|b$`, "alternatives in parentheses"},
	"alternatives after a group":      {`^(a|b)|c$`, "alternatives in parentheses"},
	"no ASCII":                        {`^münchen\.de$`, saysASCII},
	"no UTF-8":                        {"^\xff$", saysASCII},
	"control character":               {"^a\x00$", saysASCII},
	"line break at the end":           {"^a$\n", saysASCII},
	"space":                           {`^a b$`, saysASCII},
	"scheme":                          {`^https?://example\.com$`, saysHost},
	"port":                            {`^example\.com:8080$`, saysHost},
	"path":                            {`^example\.com/app$`, saysHost},
	"brackets of an IPv6 address":     {`^a]$`, saysHost},
	"brace that closes nothing":       {`^a}$`, saysHost},
	"group that never ends":           {`^(example$`, "a ) for each ("},
	"group that never begins":         {`^example)$`, "a ( for each )"},
	"class that never ends":           {`^[a-z$`, "a ] for each ["},
	"class that is all there is":      {`^a[$`, "a ] for each ["},
	"class that ends with the text":   {`^[a$`, "a ] for each ["},
	"class cut off":                   {`^[a-z`, saysAnchored},
	"nothing between the anchors":     {`^$`, saysEmpty},
	"group empty":                     {`^a()$`, saysEmpty},
	"group empty that captures not":   {`^a(?:)$`, saysEmpty},
	"alternative empty at the end":    {`^(a|)$`, saysEmpty},
	"alternative empty at the start":  {`^(|a)$`, saysEmpty},
	"alternative empty between":       {`^(a||b)$`, saysEmpty},
	"alternative that may be empty":   {`^(a*|b)$`, "no alternative that can match nothing"},
	"alternatives deep may be empty":  {`^((a?b?)|c)$`, "no alternative that can match nothing"},
	"repeat of nothing":               {`^*\.example\.com$`, "something to repeat"},
	"repeat of nothing in a group":    {`^(+a)$`, "something to repeat"},
	"count of nothing":                {`^{2}$`, "something to repeat"},
	"repeat of an optional part":      {`^(a?)*$`, saysNullable},
	"repeat of a repeat":              {`^(a*)*$`, saysNullable},
	"repeat of all":                   {`^(.*)*$`, saysNullable},
	"count of a part maybe empty":     {`^(a?b?){30}$`, saysNullable},
	"option of a part maybe empty":    {`^(a?)?$`, saysNullable},
	"repeat deep maybe empty":         {`^((a?)(b*))+$`, saysNullable},
	"lazy":                            {`^.*?\.example\.com$`, saysOneRepeat},
	"lazy count":                      {`^a{2,3}?$`, saysOneRepeat},
	"possessive":                      {`^.*+\.example\.com$`, saysOneRepeat},
	"possessive group":                {`^(a|b)++$`, saysOneRepeat},
	"two stars":                       {`^a**$`, saysOneRepeat},
	"two counts":                      {`^a{2}{3}$`, saysOneRepeat},
	"count without a number":          {`^a{}$`, saysCounts},
	"count without a lower end":       {`^a{,3}$`, saysCounts},
	"count of letters":                {`^a{n}$`, saysCounts},
	"count never closed":              {`^a{2$`, saysCounts},
	"count with a leading zero":       {`^a{01}$`, saysCounts},
	"count with a sign":               {`^a{+1}$`, saysCounts},
	"count of four digits":            {`^a{1000}$`, saysCounts},
	"count of zero":                   {`^ab{0}$`, saysBounds},
	"count of zero to zero":           {`^ab{0,0}$`, saysBounds},
	"count downward":                  {`^a{3,2}$`, saysBounds},
	"count above a host name":         {`^a{254}$`, saysBounds},
	"count above a host name, open":   {`^a{254,}$`, saysBounds},
	"counts nested too large":         {`^([a-z]{1,100}-){10}$`, saysCopies},
	"counts large in a row":           {`^a{253}b{253}c{253}d{253}$`, saysCopies},
	"counts nested immensely":         {`^(((a{253}){253}){253}){253}$`, saysCopies},
	"lookahead":                       {`^(?=a)a$`, saysGroup},
	"lookahead that denies":           {`^(?!www)[a-z]+$`, saysGroup},
	"lookbehind":                      {`^a(?<=a)$`, saysGroup},
	"atomic group":                    {`^(?>a+)b$`, saysGroup},
	"flag":                            {`^(?i)example\.com$`, saysGroup},
	"flag of a group":                 {`^(?i:example)\.com$`, saysGroup},
	"named group":                     {`^(?<name>a)$`, saysGroup},
	"named group of RE2":              {`^(?P<name>a)$`, saysGroup},
	"comment":                         {`^a(?#b)$`, saysGroup},
	"back reference":                  {`^(a)\1$`, saysEscape},
	"named back reference":            {`^a\k<name>$`, saysEscape},
	"word boundary":                   {`^a\b\.com$`, saysEscape},
	"space class":                     {`^a\s$`, saysEscape},
	"negated digits":                  {`^\D$`, saysEscape},
	"Unicode class":                   {`^\p{L}+$`, saysEscape},
	"quotation":                       {`^\Qa.b\E$`, saysEscape},
	"escape by number":                {`^\x2e$`, saysEscape},
	"escaped slash":                   {`^a\/$`, saysEscape},
	"escaped backslash":               {`^a\\b$`, saysEscape},
	"escaped letter in a class":       {`^[\b]$`, saysEscape},
	"escaped bracket in a class":      {`^[\]]$`, saysEscape},
	"class empty":                     {`^a[]$`, "no empty character class"},
	"class of all":                    {`^[^]$`, "no empty character class"},
	"class within a class":            {`^[a[bc]]$`, saysClass},
	"class intersected":               {`^[a-z&&[^b]]$`, saysClass},
	"class of POSIX":                  {`^[[:alpha:]]$`, saysClass},
	"class with a ^ that is no first": {`^[a^]$`, saysClass},
	"class with an alternative":       {`^[a|b]$`, saysClass},
	"range across cases":              {`^[A-z]$`, saysRange},
	"range across kinds":              {`^[0-z]$`, saysRange},
	"range downward":                  {`^[z-a]$`, saysRange},
	"range to an escape":              {`^[a-\d]$`, saysRange},
	"range to a dot":                  {`^[a-.]$`, saysRange},
	"range from a dot":                {`^[.-a]$`, saysHyphen},
	"range from an escape":            {`^[\d-a]$`, saysHyphen},
	"hyphen after a range":            {`^[a-c-e]$`, saysHyphen},
	"repeat nested":                   {`^(a+)+$`, saysAmbiguous},
	"repeat nested before a text":     {`^(a+)+\.example\.com$`, saysAmbiguous},
	"repeat nested deep":              {`^((a+b?)+c?)+$`, saysAmbiguous},
	"repeat nested in a count":        {`^(a+){20}$`, saysAmbiguous},
	"repeat of labels of anything":    {`^(.+\.)*example\.com$`, saysAmbiguous},
	"repeat of labels of any words":   {`^(\w+-?)*\.example\.com$`, saysAmbiguous},
	"repeat of equal alternatives":    {`^(a|a)*$`, saysAmbiguous},
	"repeat of overlapping ones":      {`^(a|aa)+$`, saysAmbiguous},
	"repeat of overlapping classes":   {`^([a-m]|[k-z])*$`, saysAmbiguous},
	"repeat of a class and its part":  {`^(\w|\d)+\.com$`, saysAmbiguous},
	"repeat of an optional end":       {`^(ab?b?)*$`, saysAmbiguous},
	"repeat of a star":                {`^(xa*a*)+$`, saysAmbiguous},
	"options and as many texts":       {`^` + strings.Repeat("a?", 30) + strings.Repeat("a", 30) + `$`, saysAmbiguous},
	"choices without any repeat":      {`^` + strings.Repeat("(a|a)", 30) + `$`, saysAmbiguous},
	"three repeats in a row":          {`^.*.*.*$`, saysAmbiguous},
	"three repeats with text between": {`^.*-.*-.*\.com$`, saysAmbiguous},
	"large counts in a row":           {`^.{1,250}\.[a-z]{2,63}\.example\.com$`, saysAmbiguous},
}

func TestPatternAccepted(t *testing.T) {
	for name, pattern := range acceptedPatterns {
		t.Run(name, func(t *testing.T) {
			if problem := patternProblem(pattern); problem != "" {
				t.Errorf("%s %s", pattern, problem)
			}
			if _, err := regexp.Compile(pattern); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPatternRefused(t *testing.T) {
	for name, test := range refusedPatterns {
		t.Run(name, func(t *testing.T) {
			problem := patternProblem(test.pattern)
			if !strings.HasPrefix(problem, "must ") || !strings.Contains(problem, test.says) {
				t.Errorf("%s: got %q, want it to say %q", test.pattern, problem, test.says)
			}
		})
	}
}

// TestPatternExamplesInMessages holds the advice to the rules that it gives.
func TestPatternExamplesInMessages(t *testing.T) {
	for _, example := range []string{
		`(.+\.)?example\.com`, `(a|b)`, `(a|b)?`, `(a+)?`, `a*`, `(a+|b)?`, `.*`, `[a-z0-9-]`, `[A-Za-z0-9]`, `[a-z]+`,
		`([a-z0-9-]+\.)*`, `(a|b)+`, `.*.+`,
	} {
		if problem := patternProblem("^" + example + "$"); problem != "" {
			t.Errorf("%s %s", example, problem)
		}
	}
}

// patterns draws what is mostly right, and wrong in all that can be wrong.
func patterns() *rapid.Generator[string] {
	return rapid.Map(alternatives(3), func(group string) string { return "^" + group + "$" })
}

func alternatives(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(sequences(depth), 1, 3).Draw(t, "alternatives"), "|")
	})
}

func sequences(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(pieces(depth), 1, 5).Draw(t, "pieces"), "")
	})
}

func pieces(depth int) *rapid.Generator[string] {
	atom := rapid.SampledFrom([]string{
		"a", "b", "ab", "0", "-", "_", ".", `\.`, `\-`, `\d`, `\w`, "[ab]", "[^.]", "[a-z0-9-]", "[-a]", "[^-b]",
		`[\w.-]`, "[--]", `[\d\.]`, "[^a-c_]", "[A-Z]",
	})
	if depth > 0 {
		group := rapid.Map(alternatives(depth-1), func(inner string) string { return "(" + inner + ")" })
		silent := rapid.Map(alternatives(depth-1), func(inner string) string { return "(?:" + inner + ")" })
		atom = rapid.OneOf(atom, atom, group, silent)
	}
	return rapid.Custom(func(t *rapid.T) string {
		quantifier := rapid.SampledFrom([]string{
			"", "", "", "", "?", "*", "+", "{2}", "{0,2}", "{1,3}", "{2,}", "{1}", "{0,}", "{0,61}", "{,2}", "{01}",
			"??",
		})
		return atom.Draw(t, "atom") + quantifier.Draw(t, "quantifier")
	})
}

// accepted draws a pattern that may be licensed.
func accepted() *rapid.Generator[string] {
	whole := rapid.Map(alternatives(3), func(group string) string { return "^(" + group + ")$" })
	return rapid.OneOf(patterns(), whole).Filter(func(pattern string) bool { return patternProblem(pattern) == "" })
}

func hosts() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[ab0._-]{0,12}`),
		rapid.StringMatching(`[abzA0é_.-]{0,30}`),
	)
}

// TestPatternMeansTheSame holds our reading of an accepted pattern to RE2's, and its cost to the bound.
func TestPatternMeansTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := accepted().Draw(t, "pattern")
		compiled, err := regexp.Compile(pattern)
		if err != nil {
			t.Fatal(err)
		}
		p := patternParser{rest: pattern[1 : len(pattern)-1]}
		whole, _ := p.sequence()
		a := newAutomaton(whole)
		bound, counted := a.matchSteps()
		if !counted {
			bound = maxMatchSteps
		}
		for _, host := range rapid.SliceOfN(hosts(), 1, 20).Draw(t, "hosts") {
			matched, steps := a.walk(host)
			if matched != compiled.MatchString(host) {
				t.Errorf("%s on %q: we say %t", pattern, host, matched)
			}
			if steps > bound {
				t.Errorf("%s on %q takes %d steps, above the bound %d", pattern, host, steps, bound)
			}
		}
	})
}

// FuzzPatternProblem demands an answer for every text, soon, and that RE2 reads what is accepted.
func FuzzPatternProblem(f *testing.F) {
	for _, pattern := range acceptedPatterns {
		f.Add(pattern)
	}
	for _, test := range refusedPatterns {
		f.Add(test.pattern)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		begin := time.Now()
		problem := patternProblem(pattern)
		if took := time.Since(begin); took > 2*time.Second { // some 0.1 s at worst; the machine may be busy
			t.Errorf("took %s", took)
		}
		if _, err := regexp.Compile(pattern); problem == "" && err != nil {
			t.Error(err)
		}
	})
}
