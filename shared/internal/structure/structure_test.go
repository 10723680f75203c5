package structure

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// order is the picture in ARCHITECTURE.md. An arrow points down; what is allowed beside it is reviewed here.
var order = Order{
	Tiers: [][]string{
		{"conf", "fault", "buildinfo", "ring", "limit", "vrrp"},
		{"logx", "metric", "health", "probe", "netio", "nl", "xdp", "pki", "state", "run", "admin", "syslog", "cli"},
		{"member", "bus", "vip"},
		{"console", "daemon"},
	},
	Beside: map[string][]string{
		"admin":  {"health", "metric", "logx"}, // it serves the first two, and its HTTP server logs
		"probe":  {"metric"},                   // runners count what they see
		"syslog": {"health", "metric"},         // its queue is bounded and says when it is full
		"daemon": {"console"},                  // it puts the floor under a service
	},
	Everywhere: []string{"fault"},
	TestOnly:   []string{"labtest"},
}

// longFiles are allowed to be longer than the rest.
var longFiles []string

// bubbleHelpers sleep and are called from inside bubbles only.
var bubbleHelpers = []string{
	"shared/member/rig_test.go:agree",
	"shared/member/rig_test.go:until",
}

func TestWorkspace(t *testing.T) {
	tree, err := Read("../../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Modules) < 7 || len(tree.Files) < 100 {
		t.Fatalf("only %d modules and %d files were found", len(tree.Modules), len(tree.Files))
	}
	f := func(name string, found []Finding) {
		t.Run(name, func(t *testing.T) {
			for _, finding := range found {
				t.Error(finding)
			}
		})
	}
	lines, err := GoLines(tree)
	if err != nil {
		t.Fatal(err)
	}
	f("tiers", order.Check(tree))
	f("package docs", PackageDocs(tree))
	f("no init", NoInit(tree))
	f("no exit", NoExit(tree))
	f("no sleep", NoSleep(tree, bubbleHelpers))
	f("file length", FileLength(tree, 600, 900, longFiles))
	f("exported docs", ExportedDocs(tree, "shared"))
	f("go lines", lines)
}

// wrong is a workspace that breaks every rule, and beside each breach shows what is allowed.
func TestRulesCanFail(t *testing.T) {
	tree, err := Read("testdata/wrong")
	if err != nil {
		t.Fatal(err)
	}
	small := Order{
		Tiers:      [][]string{{"low", "fault"}, {"mid", "side"}, {"top"}},
		Beside:     map[string][]string{"side": {"mid"}},
		Everywhere: []string{"fault"},
		TestOnly:   []string{"labtest"},
	}
	f := func(name string, found []Finding, want ...string) {
		t.Helper()
		var got []string
		for _, finding := range found {
			got = append(got, finding.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	f("tiers", small.Check(tree),
		"services/a/a.go:6: a must not import another service, b",
		"services/a/a.go:7: shared/labtest is for tests only",
		"shared/low/low.go:5: shared must not import a service",
		"shared/low/low.go:7: low (tier 0) must not import top (tier 2)",
		"shared/mid/mid.go:6: mid must not import side, of its own tier 1, unless that is reviewed",
		"shared/stray/stray.go: shared/stray has no tier",
	)
	f("package docs", PackageDocs(tree), "services/b/b.go: package b has no package doc")
	f("no init", NoInit(tree), "shared/top/top.go:13: func init is not used here")
	f("no exit", NoExit(tree),
		"shared/top/top.go:14: only package main ends the process",
		"shared/top/top.go:20: only package main ends the process",
	)
	f("no sleep", NoSleep(tree, []string{"shared/mid/mid_test.go:reviewed"}),
		"shared/mid/mid_test.go:14: a test sleeps outside a synctest bubble",
	)
	f("file length", FileLength(tree, 25, 35, []string{"shared/top/top.go"}),
		"services/a/long.go: has 30 lines, more than 25",
	)
	f("exported docs", ExportedDocs(tree, "shared"),
		"shared/top/top.go:19: Bare has no doc comment",
		"shared/top/top.go:23: type Naked has no doc comment",
	)
	lines, err := GoLines(tree)
	if err != nil {
		t.Fatal(err)
	}
	f("go lines", lines, "services/b/go.mod: the go line is 1.25.0, that of go.work 1.26.0")
}

func TestReadWithoutWorkspace(t *testing.T) {
	if _, err := Read("testdata"); err == nil {
		t.Error("a directory without go.work is read")
	}
}
