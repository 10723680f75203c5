package logx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("", 3600))

func newTest(w io.Writer, cfg Config) *Root {
	r := New(cfg, w, "n1", "lbd")
	r.now = func() time.Time { return noon }
	return r
}

func TestJSONLine(t *testing.T) {
	var b bytes.Buffer
	r := newTest(&b, Config{Level: "trace", Format: "auto"})
	f := func(want string, log func(l zerolog.Logger)) {
		t.Helper()
		b.Reset()
		log(Comp(r.Logger(), "pool"))
		want = `{"time":"2026-03-01T11:00:00.123456Z",` + want + "}\n"
		if d := cmp.Diff(want, b.String()); d != "" {
			t.Errorf("line (-want +got):\n%s", d)
		}
		if !json.Valid(b.Bytes()) {
			t.Errorf("not JSON: %s", b.String())
		}
	}
	const ctx = `"node":"n1","service":"lbd","comp":"pool"`
	f(`"level":"info","msg":"member up",`+ctx+`,"member":"a:1"`, func(l zerolog.Logger) {
		l.Info().Str("member", "a:1").Msg("member up")
	})
	f(`"level":"error","msg":"x",`+ctx+`,"err":"disk \"on\" fire"`, func(l zerolog.Logger) {
		l.Error().Err(errors.New(`disk "on" fire`)).Msg("x")
	})
	f(`"level":"trace",`+ctx, func(l zerolog.Logger) { l.Trace().Send() })
	f(`"msg":"no level",`+ctx, func(l zerolog.Logger) { l.Log().Msg("no level") })
	// The innermost component wins; no name stands twice.
	f(`"level":"info","msg":"x","node":"n1","service":"lbd","comp":"pool.web"`, func(l zerolog.Logger) {
		l = Comp(l, "pool.web")
		l.Info().Msg("x")
	})
	// Nested values with our separators in them.
	f(`"level":"warn","msg":"a,\"}",`+ctx+`,"d":{"k":["},",2]},"n":1.5`, func(l zerolog.Logger) {
		l.Warn().Interface("d", map[string]any{"k": []any{"},", 2}}).Float64("n", 1.5).Msg(`a,"}`)
	})
	// The caller's own fields with our names are kept under another.
	f(`"level":"info","msg":"m",`+ctx+`,"_msg":1,"_time":2`, func(l zerolog.Logger) {
		l.Info().Int("msg", 1).Int("time", 2).Msg("m")
	})
	// Raw JSON cannot break the line in two.
	f(`"level":"info","msg":"m",`+ctx+`,"r":{"a":1}`, func(l zerolog.Logger) {
		l.Info().RawJSON("r", []byte("{\n\"a\": 1}")).Msg("m")
	})
	f(`"level":"info","msg":"m",`+ctx+`,"r":"oops\nx"`, func(l zerolog.Logger) {
		l.Info().RawJSON("r", []byte("oops\nx")).Msg("m")
	})
}

// A value that unbalances the line is still one JSON line that shows what came.
func TestUnreadableLine(t *testing.T) {
	var b bytes.Buffer
	l := newTest(&b, Config{Level: "info"}).Logger()
	l.Info().RawJSON("r", []byte(`"}`)).Msg("m")
	var m map[string]any
	if err := json.Unmarshal(b.Bytes(), &m); err != nil || m["msg"] != "unreadable log line" {
		t.Errorf("got %s: %v", b.String(), err)
	}
}

func TestLevelFollowsEverywhere(t *testing.T) {
	var b bytes.Buffer
	r := newTest(&b, Config{Level: "info"})
	l := Comp(r.Logger(), "a")
	deep := l.With().Str("k", "v").Logger()
	sampled := deep.Sample(zerolog.LevelSampler{}) // replaces our gate: the writer must still hold the level
	try := func(want int) {
		t.Helper()
		b.Reset()
		deep.Debug().Msg("d")
		sampled.Debug().Msg("d")
		l.Warn().Msg("w")
		if got := strings.Count(b.String(), "\n"); got != want {
			t.Errorf("level %s: %d lines, want %d:\n%s", r.Level(), got, want, b.String())
		}
	}
	try(1)
	if err := r.SetLevel("debug"); err != nil {
		t.Fatal(err)
	}
	try(3)
	if err := r.SetLevel("error"); err != nil {
		t.Fatal(err)
	}
	try(0)
	for _, bad := range []string{"", "INFO", "fatal", "disabled", "7"} {
		if r.SetLevel(bad) == nil || r.Level() != "error" {
			t.Errorf("SetLevel(%q) was taken", bad)
		}
	}
}

func TestBelowLevelCostsNothing(t *testing.T) {
	l := Comp(New(Config{Level: "info"}, io.Discard, "n", "s").Logger(), "c")
	if l.Debug().Enabled() || !l.Info().Enabled() {
		t.Error("a line below the level is built before it is thrown away")
	}
	if n := testing.AllocsPerRun(100, func() { l.Debug().Str("a", "b").Msg("x") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestGlobalsUntouched(t *testing.T) {
	New(Config{Level: "error", Format: "console"}, io.Discard, "n", "s")
	if zerolog.MessageFieldName != "message" || zerolog.ErrorFieldName != "error" ||
		zerolog.TimeFieldFormat != time.RFC3339 || zerolog.GlobalLevel() != zerolog.TraceLevel {
		t.Error("a package variable of zerolog was changed")
	}
}

func TestConsole(t *testing.T) {
	var b bytes.Buffer
	r := newTest(&b, Config{Level: "info", Format: "console"})
	l := Comp(r.Logger(), "vip")
	l.Warn().Str("peer", "10.0.0.2").Str("why", "no answer").Err(errors.New("a\x1b[31mb")).Msg("lost\x1b]0;x\a it")
	want := noon.Local().Format("15:04:05.000") + ` WRN vip: lost\x1b]0;x\a it peer=10.0.0.2 why="no answer" err="a\x1b[31mb"` + "\n"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("line (-want +got):\n%s", d)
	}
	r.form.color = true
	b.Reset()
	l.Error().Msg("red")
	if !strings.Contains(b.String(), "\x1b[31mERR\x1b[0m") {
		t.Errorf("no colour: %q", b.String())
	}
}

func TestChooseForm(t *testing.T) {
	pipe, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer pw.Close()
	env := func(kv ...string) func(string) string {
		return func(k string) string {
			for i := 0; i < len(kv); i += 2 {
				if kv[i] == k {
					return kv[i+1]
				}
			}
			return ""
		}
	}
	f := func(wish string, w io.Writer, e func(string) string, want form) {
		t.Helper()
		if got := chooseForm(wish, w, e); got != want {
			t.Errorf("chooseForm(%q) = %+v, want %+v", wish, got, want)
		}
	}
	f("auto", pw, env(), form{})
	f("console", pw, env(), form{console: true})
	f("auto", &bytes.Buffer{}, env("JOURNAL_STREAM", "1:2"), form{})
	f("auto", pw, env("JOURNAL_STREAM", "1:2"), form{})
	f("auto", pw, env("JOURNAL_STREAM", streamOf(t, pw)), form{prio: true})
	tty := openTerminal(t)
	f("auto", tty, env(), form{console: true, color: true})
	f("auto", tty, env("NO_COLOR", "1"), form{console: true})
	f("auto", tty, env("TERM", "dumb"), form{console: true})
	f("json", tty, env(), form{})
}

func TestPriorities(t *testing.T) {
	var b bytes.Buffer
	r := newTest(&b, Config{Level: "trace"})
	r.form.prio = true
	l := r.Logger()
	for _, lv := range []zerolog.Level{zerolog.TraceLevel, zerolog.DebugLevel, zerolog.InfoLevel, zerolog.WarnLevel, zerolog.ErrorLevel, zerolog.PanicLevel} {
		l.WithLevel(lv).Send()
	}
	var got string
	for s := range strings.Lines(b.String()) {
		got += s[:3]
	}
	if want := "<7><7><6><4><3><2>"; got != want {
		t.Errorf("prefixes %s, want %s", got, want)
	}
}

func TestLongLines(t *testing.T) {
	var b bytes.Buffer
	l := newTest(&b, Config{Level: "info"}).Logger()
	f := func(log func()) {
		t.Helper()
		b.Reset()
		log()
		var m map[string]any
		if err := json.Unmarshal(b.Bytes(), &m); err != nil {
			t.Fatalf("not JSON: %v", err)
		}
		if b.Len() > MaxLine || m["truncated"] != true || m["node"] != "n1" || m["msg"] == nil {
			t.Errorf("%d bytes, truncated %v, node %v", b.Len(), m["truncated"], m["node"])
		}
	}
	f(func() { l.Info().Str("big", strings.Repeat("x", 2*MaxLine)).Str("small", "y").Msg("m") })
	f(func() { l.Info().Msg(strings.Repeat("\x01", MaxLine)) })
	f(func() {
		e := l.Info()
		for i := range 5000 {
			e = e.Int(fmt.Sprint("field", i), i)
		}
		e.Msg("many")
	})
}

func TestRecent(t *testing.T) {
	r := New(Config{Level: "info"}, io.Discard, "", "")
	l := r.Logger()
	if got := r.Recent(5); len(got) != 0 {
		t.Errorf("%d lines of none", len(got))
	}
	for i := range 1500 {
		l.Info().Int("i", i).Send()
	}
	nth := func(m json.RawMessage) (v struct{ I int }) {
		if err := json.Unmarshal(m, &v); err != nil {
			t.Error(err)
		}
		return v
	}
	got := r.Recent(1 << 30)
	if len(got) != 1000 || nth(got[0]).I != 500 || nth(got[999]).I != 1499 {
		t.Errorf("%d lines, first %s", len(got), got[0])
	}
	if got := r.Recent(2); len(got) != 2 || nth(got[0]).I != 1498 {
		t.Errorf("Recent(2) = %s", got)
	}
	if len(r.Recent(-1)) != 0 {
		t.Error("Recent(-1) is not empty")
	}
	for range 100 {
		l.Info().Str("s", strings.Repeat("x", 30<<10)).Send()
	}
	if r.ring.bytes > ringBytes || r.ring.n > ringBytes/(30<<10) {
		t.Errorf("%d lines, %d bytes", r.ring.n, r.ring.bytes)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestLost(t *testing.T) {
	r := New(Config{Level: "info"}, failing{}, "", "")
	l := r.Logger()
	l.Info().Msg("x")
	if r.Lost() != 1 || len(r.Recent(9)) != 1 {
		t.Errorf("lost %d, recent %d", r.Lost(), len(r.Recent(9)))
	}
}

// chunks fails when a line does not come in one Write or two come at once.
type chunks struct {
	t    *testing.T
	busy sync.Mutex
	n    int
}

func (c *chunks) Write(p []byte) (int, error) {
	if !c.busy.TryLock() {
		c.t.Error("two writes at once")
		return len(p), nil
	}
	defer c.busy.Unlock()
	if !json.Valid(p) || p[len(p)-1] != '\n' {
		c.t.Errorf("not one line: %q", p)
	}
	c.n++
	return len(p), nil
}

func TestConcurrent(t *testing.T) {
	c := &chunks{t: t}
	r := New(Config{Level: "info"}, c, "n", "s")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			l := Comp(r.Logger(), fmt.Sprint(i))
			for range 100 {
				l.Info().Str("k", "v").Msg("m")
				r.Recent(3)
				l.Debug().Msg("hidden")
			}
		})
	}
	wg.Wait()
	if c.n != 800 {
		t.Errorf("%d lines, want 800", c.n)
	}
}

func TestStd(t *testing.T) {
	var b bytes.Buffer
	r := newTest(&b, Config{Level: "info"})
	s := Std(r.Logger(), zerolog.WarnLevel)
	s.Printf("http: TLS handshake error from %s", "1.2.3.4\n5")
	s.Print("\n")
	want := `{"time":"2026-03-01T11:00:00.123456Z","level":"warn","msg":"http: TLS handshake error from 1.2.3.4\n5","node":"n1","service":"lbd"}` + "\n"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("line (-want +got):\n%s", d)
	}
}

// A real process on a pipe, as under systemd: no colour, one JSON object a line.
func TestOffTerminalProcess(t *testing.T) {
	if os.Getenv("LOGX_CHILD") == "1" {
		l := New(Config{Level: "info", Format: "auto"}, os.Stderr, "n", "s").Logger()
		l.Info().Msg("hello")
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=TestOffTerminalProcess")
	cmd.Env = append(os.Environ(), "LOGX_CHILD=1", "TERM=xterm")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	var m map[string]string
	if err := json.Unmarshal(stderr.Bytes(), &m); err != nil || m["msg"] != "hello" {
		t.Errorf("stderr is %q: %v", stderr.String(), err)
	}
}

func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"level":"info","a":1,"message":"x"}` + "\n"))
	f.Add([]byte(`{"a":"\\",}`))
	f.Add([]byte(`{"a":[}`))
	f.Add([]byte(`{}`))
	f.Add([]byte("{\"a\":\n1,\"error\":{\"b\":[1,2]}}"))
	f.Fuzz(func(t *testing.T, p []byte) {
		r := newTest(io.Discard, Config{Level: "trace"})
		r.write(zerolog.InfoLevel, p)
		got := r.Recent(1)[0]
		if json.Valid(p) && !json.Valid(got) {
			t.Errorf("valid %q became %q", p, got)
		}
		if len(got) >= MaxLine || bytes.IndexByte(got, '\n') >= 0 {
			t.Errorf("%q became a bad line %q", p, got)
		}
	})
}
