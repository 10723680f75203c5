package supervise

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	l, err := OpenLog(path, 100, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 29) + "\n"
	for range 10 {
		l.Write([]byte(line))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	now, err := os.ReadFile(path)
	old, err1 := os.ReadFile(path + ".1")
	if err != nil || err1 != nil || len(now) != 30 || len(old) != 90 {
		t.Errorf("%d and %d bytes, %v, %v; want 30 and 90", len(now), len(old), err, err1)
	}
	if l.Tail() != strings.TrimSpace(strings.Repeat(line, 10)) {
		t.Errorf("tail %q", l.Tail())
	}
}

func TestLogReportsErrors(t *testing.T) {
	var got []string
	l, err := OpenLog(filepath.Join(t.TempDir(), "a.log"), MaxLog, func(s string) { got = append(got, s) })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, part := range []string{
		"plain\n", `{"level":"info","msg":"fine"}` + "\n", `{"level":"error","msg":"no`, ` disk","err":"full"}` + "\n",
		"panic: BUG: x\n\ngoroutine 1\n", strings.Repeat("y", 3*maxScan), "\n", `{"level":"error"` + "\n",
		`{"level":"fatal","msg":"` + strings.Repeat("z", 300) + `"}` + "\n",
	} {
		l.Write([]byte(part))
	}
	want := "no disk: full|panic: BUG: x|" + strings.Repeat("z", 200) + "…"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("reported %q, want %q", s, want)
	}
}
