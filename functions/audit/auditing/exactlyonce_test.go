package auditing_test

import (
	"testing"

	"openlicenser/functions/audit/auditing/auditingtest"
	"openlicenser/shared/audit"
	"openlicenser/shared/audit/audittest"
)

// TestExactlyOnce: more with -rapid.checks=10000.
func TestExactlyOnce(t *testing.T) {
	t.Run("Memory", func(t *testing.T) {
		auditingtest.Check(t, func(t audittest.TB) audit.Store { return audittest.NewMemory(t) })
	})
	t.Run("Embedded", func(t *testing.T) { auditingtest.Examples(t, openTrail(t), 10) })
}

func TestCrashAtEveryWrite(t *testing.T) {
	t.Run("Memory", func(t *testing.T) { auditingtest.CrashAtEveryWrite(t, audittest.NewMemory(t)) })
	t.Run("Embedded", func(t *testing.T) { auditingtest.CrashAtEveryWrite(t, openTrail(t)) })
}
