// Command everup-test runs `go test` over the packages given and sums up: failures with their output, skips by reason, counts.
//
// A skip whose reason starts with "SKIP-NEEDS:" is one that a machine with more (root, a Debian program) would run.
// It ends with "N passed, N failed, N skipped" and the exit code of go test.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	code, err := runTests(os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "everup-test:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func runTests(args []string, w io.Writer) (int, error) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	s := newSummary(w)
	if err := s.read(out); err != nil {
		return 1, err
	}
	err = cmd.Wait()
	s.print()
	if err != nil && s.failed == 0 {
		s.failed = 1 // a build failure has no test to blame
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	if err != nil || s.failed > 0 {
		return 1, nil
	}
	return 0, nil
}

// event is a line of `go test -json` (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Elapsed    float64
	Output     string
}

// outputLimit bounds the output kept of one test, in bytes: its end is what tells.
const outputLimit = 64 << 10

// summary collects what `go test -json` says.
type summary struct {
	w                       io.Writer
	passed, failed, skipped int
	output                  map[string]string // of tests under way and of packages
	reasons                 map[string][]string
}

func newSummary(w io.Writer) *summary {
	return &summary{w: w, output: map[string]string{}, reasons: map[string][]string{}}
}

func (s *summary) read(r io.Reader) error {
	in := bufio.NewScanner(r)
	in.Buffer(nil, 8<<20)
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			fmt.Fprintln(s.w, in.Text()) // not ours: go's own words
			continue
		}
		s.take(e)
	}
	return in.Err()
}

func (s *summary) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		if e.ImportPath != "" {
			key = e.ImportPath + " "
		}
		s.output[key] += e.Output
		if n := len(s.output[key]); n > 2*outputLimit {
			s.output[key] = s.output[key][n-outputLimit:]
		}
	case "build-fail":
		fmt.Fprint(s.w, s.output[e.ImportPath+" "])
	case "pass", "fail", "skip":
		s.end(e, key)
	}
}

func (s *summary) end(e event, key string) {
	if e.Test == "" {
		s.endPackage(e, key)
		return
	}
	switch e.Action {
	case "pass":
		s.passed++
	case "fail":
		s.failed++
		fmt.Fprintf(s.w, "--- FAIL %s %s (%.1fs)\n%s", e.Package, e.Test, e.Elapsed, s.output[key])
	case "skip":
		s.skipped++
		why := reason(s.output[key])
		s.reasons[why] = append(s.reasons[why], short(e.Package)+"."+e.Test)
	}
	delete(s.output, key)
}

func (s *summary) endPackage(e event, key string) {
	switch e.Action {
	case "pass":
		fmt.Fprintf(s.w, "ok    %-40s %6.1fs\n", short(e.Package), e.Elapsed)
	case "fail":
		fmt.Fprintf(s.w, "FAIL  %-40s %6.1fs\n%s", short(e.Package), e.Elapsed, s.output[key])
		s.unfinished(e.Package)
	}
	delete(s.output, key)
}

// unfinished prints what tests have said that did not end: with them a package ends that no failed test explains.
func (s *summary) unfinished(pkg string) {
	for key, out := range s.output {
		if name, ok := strings.CutPrefix(key, pkg+" "); ok && name != "" {
			fmt.Fprintf(s.w, "--- NOT ENDED %s\n%s", key, out)
			delete(s.output, key)
		}
	}
}

// reason finds why a test was skipped: the text after "file.go:123: ".
func reason(out string) string {
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if _, after, ok := strings.Cut(line, "_test.go:"); ok {
			if _, text, ok := strings.Cut(after, ": "); ok {
				return text
			}
		}
		if i := strings.Index(line, "SKIP-NEEDS:"); i >= 0 {
			return line[i:]
		}
	}
	return "no reason given"
}

func short(pkg string) string { return strings.TrimPrefix(pkg, "github.com/everup/everup/") }

func (s *summary) print() {
	for _, why := range slices.Sorted(maps.Keys(s.reasons)) {
		fmt.Fprintf(s.w, "skipped (%s): %s\n", why, strings.Join(s.reasons[why], ", "))
	}
}
