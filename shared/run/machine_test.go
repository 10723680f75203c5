package run

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the traces in testdata")

// script runs one file of testdata/machine. Lines of input are "> TIME EVENT [argument]", TIME in seconds since the
// start; what the machine answers stands below each.
type script struct {
	m     *machine
	start time.Time
	out   strings.Builder
}

func newScript() *script {
	steps := []Step{{Name: "leave", Timeout: 5 * time.Second}, {Name: "drain", Timeout: 30 * time.Second}}
	return &script{m: newMachine(steps, 0), start: time.Unix(1000, 0)}
}

func (s *script) line(t *testing.T, line string) {
	t.Helper()
	fmt.Fprintln(&s.out, line)
	input, ok := strings.CutPrefix(line, "> ")
	if !ok {
		return
	}
	f := strings.SplitN(input, " ", 3)
	var sec float64
	if _, err := fmt.Sscan(f[0], &sec); err != nil || len(f) < 2 {
		t.Fatalf("bad line %q", line)
	}
	arg := ""
	if len(f) == 3 {
		arg = f[2]
	}
	now := s.start.Add(time.Duration(sec * float64(time.Second)))
	for _, e := range s.m.Step(now, parseEvent(t, f[1], arg)) {
		fmt.Fprintln(&s.out, "  "+formatEffect(e))
	}
	fmt.Fprintln(&s.out, "  = "+s.state())
}

func (s *script) state() string {
	names := []string{"starting", "ready", "reloading", "quiescing", "stopping", "ending", "stopped"}
	text := names[s.m.phase]
	if due, ok := s.m.deadline(); ok {
		text += fmt.Sprintf(" until %g", due.Sub(s.start).Seconds())
	}
	if s.m.phase == stopped {
		text += fmt.Sprintf(", result %q", fmt.Sprint(s.m.result()))
	}
	return text
}

func parseEvent(t *testing.T, name, arg string) event {
	kinds := map[string]eventKind{
		"ready": evReady, "term": evTerm, "cancel": evCancel, "hup": evHup, "usr1": evDump, "served": evServed,
		"reloaded": evReloaded, "step": evStepDone, "dumped": evDumped, "pulse": evPulse, "sick": evPulse, "timer": evTimer,
	}
	k, ok := kinds[name]
	if !ok {
		t.Fatalf("no event %q", name)
	}
	ev := event{kind: k}
	switch {
	case name == "step":
		n, rest, _ := strings.Cut(arg, " ")
		fmt.Sscan(n, &ev.step)
		arg = rest
	case name == "pulse":
		ev.line, arg = arg, ""
	}
	if arg != "" {
		ev.err = errors.New(arg)
	}
	return ev
}

func formatEffect(e effect) string {
	names := []string{
		"reload", "abandon reload", "step", "abandon step", "dump", "end serve", "READY", "RELOADING", "STOPPING", "STATUS",
		"WATCHDOG", "EXTEND", "info:", "error:",
	}
	text := names[e.kind]
	if e.kind == doStep {
		text += fmt.Sprint(" ", e.step)
	}
	if e.timeout != 0 {
		text += " " + e.timeout.String()
	}
	if e.text != "" {
		text += " " + e.text
	}
	if e.err != nil {
		text += ": " + e.err.Error()
	}
	return text
}

func TestMachineTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/machine/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := newScript()
	for sc := bufio.NewScanner(strings.NewReader(string(want))); sc.Scan(); {
		if !strings.HasPrefix(sc.Text(), "  ") {
			s.line(t, sc.Text())
		}
	}
	got := s.out.String()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != string(want) {
		t.Errorf("trace differs (run with -rewrite to accept):\n got:\n%s\nwant:\n%s", got, want)
	}
}
