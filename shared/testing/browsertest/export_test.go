package browsertest

// Violations returns the names of the rules that Axe would fail the test for.
func Violations(b *Tab) (rules []string) {
	b.Helper()
	for _, found := range b.violations() {
		rules = append(rules, found.ID)
	}
	return rules
}
