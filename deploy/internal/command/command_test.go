package command

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/labtest"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"everup": func() { os.Exit(cli.Main(context.Background(), New())) },
	})
}

// TestScripts runs the command line; `exits CODE everup …` asserts the exit code.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": func(ts *testscript.TestScript, _ bool, args []string) {
				script := "\"$@\"; test $? = " + args[0]
				if err := ts.Exec("sh", append([]string{"-c", script, "sh"}, args[1:]...)...); err != nil {
					ts.Fatalf("%s does not exit with %s", strings.Join(args[1:], " "), args[0])
				}
			},
		},
	})
}

func TestReport(t *testing.T) {
	b, err := os.ReadFile("testdata/fleet.json")
	if err != nil {
		t.Fatal(err)
	}
	var f daemon.FleetStatus
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	now := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	if err := newReport(f).write(&out, now, true); err != nil {
		t.Fatal(err)
	}
	labtest.Golden(t, "report.txt", out.String())
}
