package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/pki"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
)

const cachedReadme = "services/cached/README.md"

// cache is a cached that runs as its README.md says, moved to directories, ports and addresses of the test.
type cache struct {
	*exec.Cmd
	dir   string
	env   []string
	moves *strings.Replacer
	ended chan error
}

const readmeSecret = "a-secret-of-enough-bytes"

// newCache prepares what the document's configurations name.
func newCache(t *testing.T) *cache {
	t.Helper()
	bin := os.Getenv("EVERUP_BIN")
	if bin == "" {
		t.Skip("SKIP-NEEDS: binaries built by make (EVERUP_BIN)")
	}
	c := &cache{dir: t.TempDir()}
	port := func() string { return strconv.Itoa(labtest.FreePort(t)) }
	certs := labtest.NewCerts(t)
	c.moves = strings.NewReplacer(
		"/etc/everup/tls/ca.pem", certs.CAFile, "/etc/everup/tls/cert.pem", certs.CertFile, "/etc/everup/tls/key.pem", certs.KeyFile,
		"/etc/everup", c.dir, "/run/everup/cached", c.dir,
		"[10.0.0.1, 10.0.0.2]", "[]", "10.0.0.1", "127.0.0.1",
		"11211", port(), "11212", port(), "6379", port(), "7903", port(), "7943", port(),
	)
	c.env = append(os.Environ(),
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "CONFIGURATION_DIRECTORY="+c.dir, "RUNTIME_DIRECTORY="+c.dir,
		"STATE_DIRECTORY="+filepath.Join(c.dir, "state"), "EVERUP_CACHED_BUS_LISTEN=127.0.0.1:"+port(), "EVERUP_CACHED_BUS_ROUTES=127.0.0.1:"+port(),
	)
	for name, text := range map[string]string{"fleet.secret": readmeSecret, "cached.users": "user:password\n"} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// bash returns a line of the document, to be run by a shell.
func (c *cache) bash(t *testing.T, line string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "timeout", "20", "bash", "-c", "set -o pipefail; "+c.moves.Replace(line))
	cmd.Dir, cmd.Env = c.dir, c.env
	return cmd
}

// start starts the daemon and returns when it serves.
func (c *cache) start(t *testing.T, name string, args ...string) {
	t.Helper()
	c.Cmd = exec.CommandContext(t.Context(), name, args...)
	c.Cmd.Dir, c.Cmd.Env = c.dir, c.env
	log := &bytes.Buffer{}
	c.Cmd.Stdout, c.Cmd.Stderr = log, log
	c.Cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	c.ended = ended
	go func() { ended <- c.Cmd.Wait() }()
	t.Cleanup(func() {
		c.Cmd.Process.Kill()
		if err := <-ended; t.Failed() {
			t.Logf("%s %v: %v\n%s", name, args, err, log)
		}
		ended <- nil
	})
	labtest.Eventually(t, 20*time.Second, "the daemon answers", func() error {
		if got := c.ask(t, "version\r\n"); got != "VERSION 1.6.18\r\n" {
			return errors.New("it answers " + strconv.Quote(got))
		}
		return nil
	})
}

// stop ends the daemon by a signal and waits; it must end in order unless it is killed.
func (c *cache) stop(t *testing.T, sig syscall.Signal) {
	t.Helper()
	c.Process.Signal(sig)
	select {
	case err := <-c.ended:
		c.ended <- nil
		if err != nil && sig != syscall.SIGKILL {
			t.Errorf("after %v: %v", sig, err)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%v does not end it", sig)
	}
}

// ask sends commands and returns the first line of the answer; "" without one.
func (c *cache) ask(t *testing.T, commands string) string {
	t.Helper()
	conn, err := net.Dial("tcp", c.moves.Replace("127.0.0.1:11211"))
	if err != nil {
		return ""
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(conn, commands)
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return line
}

// Every snippet of cached's document runs: options start it, configurations are accepted and one is served, commands succeed, bodies on the
// bus are understood and answered as is said; and the items outlive a restart.
func TestCachedDocument(t *testing.T) {
	labtest.Needs(t, "bash", "curl", "nc", "openssl", "redis-cli")
	c := newCache(t)
	all := blocks(t, cachedReadme)
	var configs []string
	for _, b := range all {
		switch b.info {
		case "sh start":
			for _, line := range b.lines() {
				c.start(t, "bash", "-c", "exec "+c.moves.Replace(line))
				c.stop(t, syscall.SIGTERM)
			}
		case "yaml cached":
			file := filepath.Join(c.dir, "cached-"+strconv.Itoa(len(configs))+".yaml")
			if err := os.WriteFile(file, []byte(c.moves.Replace(b.text)), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := c.bash(t, "cached check -c "+file).CombinedOutput(); err != nil {
				t.Errorf("cached check: %v\n%s\n%s", err, out, b.text)
			}
			configs = append(configs, file)
		}
	}
	if err := os.Rename(configs[0], filepath.Join(c.dir, "cached.yaml")); err != nil {
		t.Fatal(err)
	}
	c.start(t, "bash", "-c", "exec cached run")
	news := c.listen(t)
	for i, b := range all {
		switch kind, of, _ := strings.Cut(b.info, " "); kind {
		case "sh":
			if of == "start" {
				continue
			}
			for _, line := range b.lines() {
				out, err := c.bash(t, line).CombinedOutput()
				if err != nil {
					t.Errorf("%q: %v\n%s", line, err, out)
				}
				t.Logf("%s\n%s", line, out[:min(len(out), 1500)])
			}
		case "json":
			what, name, _ := strings.Cut(of, " ")
			switch what {
			case "request":
				if i+1 == len(all) || all[i+1].info != "json answer "+name {
					t.Fatalf("the request of %s has no answer", name)
				}
				sameShape(t, name, all[i+1].text, c.request(t, name, b.text))
			case "answer":
			case "event":
				sameShape(t, name, b.text, c.event(t, news))
			default:
				t.Errorf("a snippet of kind %q is not run", b.info)
			}
		case "yaml", "commands", "": // checked above, in services/cached, and no snippets
		default:
			t.Errorf("a snippet of kind %q is not run", b.info)
		}
	}
	c.restarts(t)
}

// restarts ends the daemon twice: a signal keeps the items, kill -9 begins anew and says so.
func (c *cache) restarts(t *testing.T) {
	t.Helper()
	c.ask(t, "set kept 0 0 1\r\nx\r\n")
	c.stop(t, syscall.SIGTERM)
	c.start(t, "bash", "-c", "exec cached run")
	if got := c.ask(t, "get kept\r\n"); got != "VALUE kept 0 1\r\n" {
		t.Errorf("after a restart: %q", got)
	}
	c.stop(t, syscall.SIGKILL)
	c.start(t, "bash", "-c", "exec cached run")
	if got := c.ask(t, "get kept\r\n"); got != "END\r\n" {
		t.Errorf("after kill -9: %q", got)
	}
	if out, err := c.bash(t, "cached status").Output(); err != nil || !strings.Contains(string(out), "cached.cold") {
		t.Errorf("the status does not say that the cache began empty: %v\n%s", err, out)
	}
	c.stop(t, syscall.SIGTERM)
}

// busAddr is where the daemon's bus listens.
func (c *cache) busAddr() string {
	for _, e := range c.env {
		if addr, ok := strings.CutPrefix(e, "EVERUP_CACHED_BUS_LISTEN="); ok {
			return "nats://" + addr
		}
	}
	return ""
}

// listen subscribes to the events as any client of the host may.
func (c *cache) listen(t *testing.T) <-chan *nats.Msg {
	t.Helper()
	nc := c.connect(t)
	news := make(chan *nats.Msg, 1024)
	if _, err := nc.ChanSubscribe("everup.shop.event.cached.items-changed", news); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return news
}

// connect connects to the bus once it is there.
func (c *cache) connect(t *testing.T, opts ...nats.Option) (nc *nats.Conn) {
	t.Helper()
	labtest.Eventually(t, 20*time.Second, "the bus takes clients", func() (err error) {
		nc, err = nats.Connect(c.busAddr(), opts...)
		return err
	})
	t.Cleanup(nc.Close)
	return nc
}

// request sends a body to a verb on the bus, or to a path of the admin socket, and returns the answer.
func (c *cache) request(t *testing.T, to, body string) []byte {
	t.Helper()
	if strings.HasPrefix(to, "/") {
		var answer json.RawMessage
		a := admin.Dial(filepath.Join(c.dir, "cached.sock"))
		defer a.Close()
		if err := a.Do(t.Context(), "POST", to, json.RawMessage(body), &answer); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	keys, err := pki.New("shop", readmeSecret)
	if err != nil {
		t.Fatal(err)
	}
	nc := c.connect(t, nats.Secure(keys.Client("op")), nats.UserInfo("operator", keys.Password("operator")))
	var m *nats.Msg
	labtest.Eventually(t, 20*time.Second, "an answer to "+to, func() (err error) { // the daemon itself may still be connecting
		m, err = nc.Request("everup.shop.do.cached._all."+to, []byte(body), 5*time.Second)
		return err
	})
	if text := m.Header.Get("Nats-Service-Error"); text != "" {
		t.Errorf("%s: %s", to, text)
	}
	return m.Data
}

// event has a client store and delete, and returns an event made of what is told of the two: they may come in one or in two.
func (c *cache) event(t *testing.T, news <-chan *nats.Msg) []byte {
	t.Helper()
	for len(news) > 0 {
		<-news
	}
	c.ask(t, "set user:17 0 0 1 noreply\r\nx\r\nset a 7 60 1 noreply\r\nx\r\ndelete user:17\r\n")
	deadline := time.After(20 * time.Second)
	var deleted, stored any
	for {
		var event map[string]any
		select {
		case m := <-news:
			if err := json.Unmarshal(m.Data, &event); err != nil {
				t.Fatalf("%q: %v", m.Data, err)
			}
		case <-deadline:
			t.Fatalf("no event tells that user:17 was deleted and a stored, but %v, %v", deleted, stored)
		}
		for _, change := range event["changes"].([]any) {
			switch ch := change.(map[string]any); {
			case ch["op"] == "deleted" && ch["key"] == "user:17":
				deleted = ch
			case ch["op"] == "stored" && ch["key"] == "a":
				stored = ch
			}
		}
		if event["changes"] = []any{deleted, stored}; deleted != nil && stored != nil {
			text, err := json.Marshal(event)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
	}
}

// sameShape checks that got has the fields of the document's example, of the same types.
func sameShape(t *testing.T, what, example string, got []byte) {
	t.Helper()
	if d := cmp.Diff(shape(t, []byte(example)), shape(t, got)); d != "" {
		t.Errorf("%s is not as the document says (-document +sent):\n%s\n%s", what, d, got)
	}
}

// shape replaces each value by its type.
func shape(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return typeOf(v)
}

func typeOf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out[k] = typeOf(v[k])
		}
		return out
	case []any:
		out := []any{}
		for _, e := range v {
			out = append(out, typeOf(e))
		}
		return out
	case string:
		return "string"
	case float64:
		return "number"
	}
	return v
}
