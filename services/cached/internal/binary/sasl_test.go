package binary

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/oracletest"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/shared/labtest"
)

func saslEnv(t *testing.T) *session.Env {
	env := newEnv(t, engine.Options{})
	env.SASL = true
	env.Password = func(user, password []byte, _ *session.Peer) bool {
		return string(user) == "user" && string(password) == "secret"
	}
	return env
}

func start(proof string) packet { return packet{op: opSASLAuth, key: "PLAIN", value: proof} }
func step(proof string) packet  { return packet{op: opSASLStep, key: "PLAIN", value: proof} }

const good, bad = "\x00user\x00secret", "\x00user\x00wrong"

// saslExchanges are what clients may try, but for a second step after one that failed, which memcached lets pass; a no-op at the end tells whether they are in.
var saslExchanges = [][]packet{
	{{op: opSASLList}, start(good)},
	{{op: opVersion}},
	{setPacket("k", "v")},
	{{op: 0x99}},
	{{op: opNoop, value: "x"}},
	{{op: opSASLList, key: "x"}},
	{start(bad)},
	{start(good), {op: opNoop}, start(bad)},
	{start(good), {op: opNoop}, {op: opSASLList}},
	{start(bad), step(good)},
	{start(""), step(good)},
	{start(""), step(bad)},
	{start(""), {op: opSASLStep, key: "OTHER", value: good}},
	{step(good)},
	{{op: opSASLAuth, key: "plain", value: good}},
	{{op: opSASLAuth, key: "OTHER", value: good}},
	{{op: opSASLAuth, key: strings.Repeat("P", 32), value: good}},
	{{op: opSASLAuth, key: strings.Repeat("P", 33), value: good}, {op: opVersion}},
	{start("user" + good)},
	{start("root" + good)},
	{start(good + "\x00")},
	{start(good + "\x00x")},
	{start("\x00\x00secret")},
	{start("\x00user\x00")},
	{start("user")},
	{start("\x00user")},
	{start("\x00user\x00" + strings.Repeat("s", 2000)), {op: opVersion}},
	{start("\x00user\x00" + strings.Repeat("s", 1_000_000)), {op: opVersion}},
	{{op: opSASLAuth, value: good}},
	{start(good), setPacket("k", "v"), {op: opGet, key: "k"}, {op: opDelete, key: "k"}},
}

func saslAnswers(t *testing.T, env *session.Env, p []packet) string {
	r := newRig(t, env)
	r.give(concat(append(p[:len(p):len(p)], packet{op: opNoop})...))
	return spell(r.take())
}

func TestSASL(t *testing.T) {
	f := func(want string, p ...packet) {
		t.Helper()
		if diff := cmp.Diff(want, saslAnswers(t, saslEnv(t), p)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	in := "21 value=\"Authenticated\"\n"
	out := "0a status=20 value=\"Auth failure.\"\n"
	f(out)
	f("20 value=\"PLAIN\"\n"+in+"0a\n", packet{op: opSASLList}, start(good))
	f("21 status=20 value=\"Auth failure.\"\n"+out, start(bad))
	f(in+"0a\n21 status=20 value=\"Auth failure.\"\n"+out, start(good), packet{op: opNoop}, start(bad))
	f("21 status=21\n22 value=\"Authenticated\"\n0a\n", start(""), step(good))
	f("22 status=20 value=\"Auth failure.\"\n"+out, step(good))
	f("21 status=20 value=\"Auth failure.\"\n22 status=20 value=\"Auth failure.\"\n"+out, start(bad), step(good))
	f("21 status=21\n22 status=20 value=\"Auth failure.\"\n22 status=20 value=\"Auth failure.\"\n"+out, start(""), step(bad), step(good))
}

// TestSASLOff answers as a server without it does.
func TestSASLOff(t *testing.T) {
	got := saslAnswers(t, newEnv(t, engine.Options{}), []packet{{op: opSASLList}, start(good), step(good)})
	want := "20 status=81 value=\"Unknown command\"\n21 status=81 value=\"Unknown command\"\n22 status=81 value=\"Unknown command\"\n0a\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSASLCounts(t *testing.T) {
	r := newRig(t, saslEnv(t))
	r.give(concat(start(bad), start(good), start(""), step(bad)))
	if cmds, errs := r.note.AuthCmds.Load(), r.note.AuthErrors.Load(); cmds != 3 || errs != 2 {
		t.Errorf("%d attempts of which %d failed, want 3 and 2", cmds, errs)
	}
}

// TestSASLAgainstMemcached has every exchange also with memcached, whose users are kept by libsasl.
func TestSASLAgainstMemcached(t *testing.T) {
	labtest.Needs(t, "memcached", "saslpasswd2")
	dir := t.TempDir()
	db := filepath.Join(dir, "users")
	conf := "mech_list: plain\npwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: " + db + "\n"
	if err := os.WriteFile(filepath.Join(dir, "memcached.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	add := exec.Command("saslpasswd2", "-p", "-c", "-a", "memcached", "-f", db, "user")
	add.Stdin = strings.NewReader("secret\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("saslpasswd2: %v: %s", err, out)
	}
	server := oracletest.Start(t, oracletest.Options{Args: []string{"-S"}, Env: []string{"SASL_CONF_PATH=" + dir}})
	env := saslEnv(t)
	for i, p := range saslExchanges {
		conn := server.Dial(t)
		if _, err := conn.Write(concat(append(p[:len(p):len(p)], packet{op: opNoop})...)); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		theirs, err := io.ReadAll(conn)
		if err != nil && !strings.Contains(err.Error(), "reset") {
			t.Fatal(err)
		}
		r := newRig(t, env)
		r.give(concat(append(p[:len(p):len(p)], packet{op: opNoop})...))
		if diff := cmp.Diff(spell(blankCAS(theirs)), spell(blankCAS(r.take()))); diff != "" {
			t.Errorf("exchange %d (-memcached +session):\n%s", i, diff)
		}
	}
}
