package text

import (
	"testing"

	"github.com/everup/everup/services/cached/internal/session"
)

// logins demands authentication.
func logins(env *session.Env) {
	env.TextAuth = true
	env.Password = func(user, password []byte, _ *session.Peer) bool {
		return string(user) == "user" && string(password) == "pass"
	}
}

func TestLogin(t *testing.T) {
	f := func(in, want string, closed bool) {
		t.Helper()
		env := newEnv(t)
		logins(env)
		d := newDriver(t, env)
		if got := string(d.send([]byte(in))); got != want || d.closed != closed {
			t.Errorf("%q: %q, closed %v; want %q, %v", in, got, d.closed, want, closed)
		}
	}
	f("set a 0 0 9\r\nuser pass\r\nget a\r\n", "STORED\r\nEND\r\n", false)
	f("set a 0 0 9 x\r\nuser pass\r\n", "STORED\r\n", false)
	f("set a 0 0 9\nuser pass\r\n", "STORED\r\n", false)
	f("get a\r\nset a 0 0 9\r\nuser pass\r\nget a\r\n", "CLIENT_ERROR unauthenticated\r\nSTORED\r\nEND\r\n", false)
	f("set a 0 0\r\n", "CLIENT_ERROR unauthenticated\r\n", false)
	f("set a 0 0 x\r\n", "CLIENT_ERROR unauthenticated\r\n", false)
	f("\r\n", "CLIENT_ERROR unauthenticated\r\n", false)
	f("set a 0 0 9\r\nuser fail\r\nget a\r\n", "CLIENT_ERROR authentication failure\r\nCLIENT_ERROR unauthenticated\r\n", false)
	f("set a 0 0 8\r\nuserpass\r\n", "CLIENT_ERROR bad authentication token format\r\n", false)
	f("set a 0 0 9\r\nuser passxy", "CLIENT_ERROR bad command line termination\r\n", false)
	f("set a 0 0 9999999\r\n", "CLIENT_ERROR auth token too long\r\n", true)
	f(string(make([]byte, 2049)), "", true)
	f("set a 0 0 9\r\nuser pa", "", false)
}

func TestLoginIsCounted(t *testing.T) {
	env := newEnv(t)
	logins(env)
	d := newDriver(t, env)
	d.send([]byte("set a 0 0 9\r\nuser fail\r\nset a 0 0 9\r\nuser pass\r\n"))
	if n := d.s.(*client).note; n.AuthCmds.Load() != 2 || n.AuthErrors.Load() != 1 {
		t.Errorf("%d attempts, %d failed; want 2 and 1", n.AuthCmds.Load(), n.AuthErrors.Load())
	}
}
