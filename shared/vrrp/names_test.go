package vrrp

import (
	"fmt"
	"testing"
)

// TestNames: every number has a name of its own.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for r := range Reasons {
		seen["r "+r.String()] = true
	}
	for c := range causes {
		seen["c "+c.String()] = true
	}
	for k := range conflictKinds {
		seen["k "+k.String()] = true
	}
	if n := int(Reasons) + int(causes) + int(conflictKinds); len(seen) != n || seen["r "] || seen["c "] || seen["k "] {
		t.Errorf("%d different names, want %d: %v", len(seen), n, seen)
	}
	if got := fmt.Sprint(Reasons, causes, conflictKinds, State(9)); got != "reason_18 cause_16 conflict_7 state 9" {
		t.Error(got)
	}
}
