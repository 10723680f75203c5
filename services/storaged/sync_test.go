package storaged

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// steps are the system calls of one PUT and one DELETE that matter, as strace prints them, with the name each gets here.
var steps = []struct {
	name string
	re   *regexp.Regexp
}{
	{"sync-file", regexp.MustCompile(`fsync\(\d+</[^>]*/incoming/[0-9][^>]*>\)\s+= 0`)}, // a probe of the disk has another name
	{"rename", regexp.MustCompile(`rename(at2?)?\(.*/incoming/.*/objects/[0-9a-f]{2}/.*= 0`)},
	{"remove", regexp.MustCompile(`unlink(at)?\(.*/objects/[0-9a-f]{2}/.*= 0`)},
	{"sync-leaf", regexp.MustCompile(`fsync\(\d+</[^>]*/objects/[0-9a-f]{2}/[0-9a-f]{2}>\)\s+= 0`)},
	{"sync-parent", regexp.MustCompile(`fsync\(\d+</[^>]*/objects(/[0-9a-f]{2})?>\)\s+= 0`)},
	{"answer", regexp.MustCompile(`write\(\d+<[^>]*>, "HTTP/1.1 20[14]`)},
}

// TestSyncsBeforeAnswer watches the system calls: data, new directories and the directory entry are synced, in this order, before the
// client is told.
func TestSyncsBeforeAnswer(t *testing.T) {
	labtest.Needs(t, "strace")
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	cmd := exec.Command("strace", "-f", "-y", "-qq", "-s", "16", "-o", trace,
		"-e", "trace=fsync,rename,renameat,renameat2,unlink,unlinkat,write", os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); cmd.Wait() }
	defer stop()
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Skip("SKIP-NEEDS: strace that may trace: " + err.Error())
	}
	url := "http://" + strings.TrimSpace(addr)
	for _, r := range [][2]string{{"PUT", "one"}, {"PUT", "two"}, {"DELETE", ""}} {
		if code, _, err := send(r[0], url+"/a", r[1]); err != nil || code >= 300 {
			t.Fatal(r, code, err)
		}
	}
	stop()
	want := "sync-file sync-parent sync-parent rename sync-leaf answer " + // created, with its two directories
		"sync-file rename sync-leaf answer " + // replaced
		"remove sync-leaf answer"
	if got := stepsIn(t, trace); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func stepsIn(t *testing.T, trace string) string {
	t.Helper()
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for line := range strings.Lines(joinResumed(string(b))) {
		for _, s := range steps {
			if s.re.MatchString(line) {
				seen = append(seen, s.name)
				break
			}
		}
	}
	// What comes before the first change's sync is the start.
	all := strings.Join(seen, " ")
	if i := strings.Index(all, "sync-file sync-parent"); i > 0 {
		all = all[i:]
	}
	return all
}

// joinResumed puts calls that strace printed in two halves on the line of their second.
func joinResumed(s string) string {
	open := map[string]string{} // by thread
	var out strings.Builder
	for line := range strings.Lines(s) {
		pid, rest, _ := strings.Cut(line, " ")
		if head, ok := strings.CutSuffix(strings.TrimSuffix(rest, "\n"), " <unfinished ...>"); ok {
			open[pid] = head
			continue
		}
		if _, tail, ok := strings.Cut(rest, " resumed>"); ok {
			rest = open[pid] + tail
		}
		out.WriteString(pid + " " + rest)
	}
	return out.String()
}
