package resp

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

// smallItem is the largest item that conversation goes by.
const smallItem = 64 << 10

// conversation has all ways in which a request may come, long values and unwanted arguments among them.
func conversation() (in []byte, want string) {
	big, huge := strings.Repeat("b", 17_000), strings.Repeat("h", 40_000)
	say := func(answer string, words ...string) {
		in = append(in, request(words...)...)
		want += answer
	}
	line := func(answer, s string) {
		in = append(in, s...)
		want += answer
	}
	bulk := func(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }
	say("+PONG\r\n", "PING")
	line("+PONG\r\n", "PING\r\n")
	line("", "\r\n*0\r\n*-1\r\n  \r\n")
	line("+OK\r\n", "set inline 'a \\'b' \r\n")
	line("$4\r\na 'b\r\n", "get \"inl\\x69ne\"\n")
	line("*2\r\n$-1\r\n$4\r\na 'b\r\n", "mget none inline\r\n")
	say("+OK\r\n", "SET", "big", big, "EX", "100")
	say(bulk(big), "GET", "big")
	say("+OK\r\n", "MSET", "one", "1", "huge", huge, "two", big)
	say("*5\r\n"+bulk("1")+bulk(huge)+"$-1\r\n"+bulk(big)+bulk(huge), "MGET", "one", "huge", strings.Repeat("k", 20_000), "two", "huge")
	say(bulk(huge), "SET", "huge", big, "XX", "GET", "KEEPTTL")
	say("$-1\r\n", "SET", "huge", huge, "NX")
	say("-ERR syntax error\r\n", "SET", "huge", huge, "NX", "XX")
	say(fmt.Sprintf(":%d\r\n", len(big)+len(huge)), "APPEND", "huge", huge)
	say(fmt.Sprintf(":%d\r\n", len(big)+len(huge)), "STRLEN", "huge")
	say("-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n", "SET", "large", strings.Repeat("l", smallItem))
	say("-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n", "SETEX", "large", "10", strings.Repeat("l", smallItem))
	say("-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n", "MSET", "x", "1", "large", strings.Repeat("l", smallItem), "y", "2")
	say(":3\r\n", "DEL", "x", "y", "one", "large", strings.Repeat("k", 251), strings.Repeat("k", 20_000))
	say("-ERR a key must have 1 to 250 bytes\r\n", "GET", strings.Repeat("k", 251))
	say("-ERR a key must have 1 to 250 bytes\r\n", "SET", "", "v")
	say("-ERR a key must have 1 to 250 bytes\r\n", "SET", strings.Repeat("k", 251), huge)
	say("-ERR a key must have 1 to 250 bytes\r\n", "MSET", "", huge)
	say("-ERR argument is longer than 16384 bytes\r\n", "GET", huge)
	say("-ERR argument is longer than 16384 bytes\r\n", "SET", "k", big, big)
	say("-ERR syntax error\r\n", append([]string{"SET"}, make([]string, 100)...)...)
	say("-ERR wrong number of arguments for 'get' command\r\n", "GET", huge, huge)
	say("-ERR unknown command 'NOSUCH', with args beginning with: 'a' '"+strings.Repeat("h", 124)+"' \r\n", "NOSUCH", "a", huge, "b")
	say("-ERR unknown command '"+strings.Repeat("h", 128)+"', with args beginning with: 'a' \r\n", huge, "a")
	say(bulk(huge + "")[:0]+"+OK\r\n", "FLUSHALL", "ASYNC")
	say(":0\r\n", "DBSIZE")
	say("+OK\r\n", "QUIT")
	in = append(in, request("PING")...)
	return in, want
}

func TestConversation(t *testing.T) {
	in, want := conversation()
	r := newRig(t, service(Options{Env: newEnv(t, engine.Options{MaxItem: smallItem})}))
	r.give(in)
	if diff := cmp.Diff(strings.Split(want, "\r\n"), strings.Split(r.take(), "\r\n")); diff != "" || !r.done {
		t.Errorf("closed %v; answers (-want +got):\n%.4000s", r.done, diff)
	}
}

// TestAnyCut gives the same bytes in pieces of every kind of size, and values straight into their memory.
func TestAnyCut(t *testing.T) {
	in, want := conversation()
	for _, size := range []int{1, 7, 13, 100, 4096, 16 << 10, 16<<10 + 1, 64 << 10, 1 << 20} {
		for _, direct := range []bool{false, true} {
			r := newRig(t, service(Options{Env: newEnv(t, engine.Options{MaxItem: smallItem})}))
			for rest := in; len(rest) > 0 && !r.done; {
				n := min(size, len(rest))
				if direct {
					if left := r.into(rest[:n]); len(left) < n {
						rest = rest[n-len(left):]
						r.give(nil)
						continue
					}
				}
				r.give(rest[:n])
				rest = rest[n:]
				if len(r.held) > heldMax {
					t.Fatalf("pieces of %d: %d bytes left unconsumed", size, len(r.held))
				}
			}
			if got := r.take(); got != want {
				t.Errorf("pieces of %d, direct %v: (-want +got):\n%.2000s", size, direct, cmp.Diff(strings.Split(want, "\r\n"), strings.Split(got, "\r\n")))
			}
		}
	}
}

func TestProtocolErrors(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		r := newRig(t, service(Options{Env: newEnv(t, engine.Options{})}))
		r.give([]byte(in))
		if got := r.take(); got != want || !r.done {
			t.Errorf("%.60q: %q, closed %v; want %q and a close", in, got, r.done, want)
		}
	}
	f("*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n")
	f("*99999999999\r\n", "-ERR Protocol error: invalid multibulk length\r\n")
	f("*9223372036854775808\r\n", "-ERR Protocol error: invalid multibulk length\r\n")
	f("*1\r\n$-2\r\n", "-ERR Protocol error: invalid bulk length\r\n")
	f("*1\r\n$x\r\n", "-ERR Protocol error: invalid bulk length\r\n")
	f("*1\r\n$536870913\r\n", "-ERR Protocol error: invalid bulk length\r\n")
	f("*2\r\n$3\r\nGET\r\nfoo\r\n", "-ERR Protocol error: expected '$', got 'f'\r\n")
	f("*2\r\n$4\r\nMGET\r\n*1\r\n", "*1\r\n-ERR Protocol error: expected '$', got '*'\r\n")
	f("*"+strings.Repeat("1", 70_000), "-ERR Protocol error: too big mbulk count string\r\n")
	f("*1\r\n$"+strings.Repeat("1", 70_000), "-ERR Protocol error: too big bulk count string\r\n")
	f(strings.Repeat("a", 70_000), "-ERR Protocol error: too big inline request\r\n")
	f("get 'a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n")
	f("get \"a\"b\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n")
}

// TestManyAnnounced has more arguments announced than come: nothing is kept for them.
func TestManyAnnounced(t *testing.T) {
	r := newRig(t, service(Options{Env: newEnv(t, engine.Options{})}))
	r.give([]byte("*2147483647\r\n$3\r\nDEL\r\n" + strings.Repeat("$1\r\na\r\n", 10_000)))
	if c := r.s.(*conn); len(r.held) > 0 || cap(c.args)+cap(c.spans) > 0 || r.done {
		t.Errorf("%d bytes held, room for %d arguments", len(r.held), cap(c.args)+cap(c.spans))
	}
}

func TestTurnIsBounded(t *testing.T) {
	svc := service(Options{Env: newEnv(t, engine.Options{})})
	r := newRig(t, svc)
	r.give(request("MSET", "short", strings.Repeat("v", 10_000), "long", strings.Repeat("v", engine.PinAbove+1)))
	r.take()
	f := func(in []byte, want session.Next) {
		t.Helper()
		r := newRig(t, svc)
		var out session.Out
		_, next := r.s.Step(in, &out)
		if next != want || len(out.Buf) > session.OutHigh+engine.PinAbove+100 {
			t.Errorf("%.40q: next %d with %d bytes answered, want next %d", in, next, len(out.Buf), want)
		}
		out.Big.Unpin()
	}
	f(bytes.Repeat(request("GET", "short"), 1000), session.Flush)
	f(bytes.Repeat(request("GET", "long"), 1000), session.Flush)
	f(bytes.Repeat(request("GET", "none"), 1000), session.Yield)
	f(bytes.Repeat([]byte("GET none\r\n"), 1000), session.Yield)
	f(request(append([]string{"MGET"}, strings.Fields(strings.Repeat("long ", 1000))...)...), session.Flush)
	f(request(append([]string{"MGET"}, strings.Fields(strings.Repeat("short ", 1000))...)...), session.Flush)
	f(request(append([]string{"MGET"}, strings.Fields(strings.Repeat("none ", 1000))...)...), session.Yield)
	f(bytes.Repeat(request("SET", "k", strings.Repeat("v", 10_000)), 1000), session.Yield)
}

func TestAuth(t *testing.T) {
	env := newEnv(t, engine.Options{})
	f := func(o Options, want string, requests ...[]string) {
		t.Helper()
		o.Env = env
		r := newRig(t, service(o))
		for _, words := range requests {
			r.give(request(words...))
		}
		if got := r.take(); got != want {
			t.Errorf("%q: %q, want %q", requests, got, want)
		}
	}
	const noAuth, wrong = "-NOAUTH Authentication required.\r\n", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
	secret := Options{Password: "secret"}
	f(secret, noAuth+noAuth+noAuth, []string{"GET", "a"}, []string{"PING"}, []string{"MGET", "a"})
	f(secret, wrong+noAuth+"+OK\r\n$-1\r\n", []string{"AUTH", "x"}, []string{"GET", "a"}, []string{"AUTH", "secret"}, []string{"GET", "a"})
	f(secret, "+OK\r\n"+wrong+"+PONG\r\n", []string{"AUTH", "default", "secret"}, []string{"AUTH", "other", "secret"}, []string{"PING"})
	f(secret, "+OK\r\n+RESET\r\n"+noAuth, []string{"AUTH", "secret"}, []string{"RESET"}, []string{"PING"})
	f(secret, "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time\r\n", []string{"HELLO", "2"})
	f(secret, wrong, []string{"HELLO", "2", "AUTH", "default", "x"})
	f(secret, "+OK\r\n", []string{"QUIT"})
	f(Options{}, "+OK\r\n"+wrong, []string{"AUTH", "default", "any"}, []string{"AUTH", "user", "any"})
	env.Password = func(user, password []byte, _ *session.Peer) bool {
		return string(user) == "user" && string(password) == "pass"
	}
	f(Options{Auth: true}, noAuth+wrong+wrong+"+OK\r\n+PONG\r\n", []string{"PING"}, []string{"AUTH", "pass"}, []string{"AUTH", "user", "x"},
		[]string{"AUTH", "user", "pass"}, []string{"PING"})
	r := newRig(t, service(Options{Env: env, Password: "secret"}))
	r.give([]byte("*11\r\n"))
	if got := r.take(); got != "-ERR Protocol error: unauthenticated multibulk length\r\n" || !r.done {
		t.Errorf("many arguments of a stranger: %q", got)
	}
	r = newRig(t, service(Options{Env: env, Password: "secret"}))
	r.give([]byte("*2\r\n$4\r\nAUTH\r\n$16385\r\n"))
	if got := r.take(); got != "-ERR Protocol error: unauthenticated bulk length\r\n" || !r.done {
		t.Errorf("a long argument of a stranger: %q", got)
	}
}

// TestExpiry sets times that end within a second and sees that nothing dies early.
func TestExpiry(t *testing.T) {
	env := newEnv(t, engine.Options{})
	now := int64(testNow*1000 + 300)
	svc := NewService(Options{Env: env, UnixMilli: func() int64 { return now }})
	r := newRig(t, svc)
	f := func(want string, words ...string) {
		t.Helper()
		r.give(request(words...))
		if got := r.take(); got != want {
			t.Errorf("%q: %q, want %q", words, got, want)
		}
	}
	f("+OK\r\n", "SET", "k", "v", "PX", "701")
	f(":1700000002\r\n", "EXPIRETIME", "k")
	f(":1700\r\n", "PTTL", "k")
	f(":1\r\n", "TTL", "k")
	f("+OK\r\n", "SET", "k", "v", "PX", "700")
	f(":1700000001\r\n", "EXPIRETIME", "k")
	f(":0\r\n", "TTL", "k")
	now += 700
	env.Clock.Set(testNow + 1)
	f("$-1\r\n", "GET", "k")
	f(":-2\r\n", "TTL", "k")
	f("+OK\r\n", "SET", "k", "v", "EX", "10")
	f(":10\r\n", "TTL", "k")
	f("+OK\r\n", "SET", "k", "w", "KEEPTTL")
	f(":10000\r\n", "PTTL", "k")
	f("+OK\r\n", "SET", "k", "w")
	f(":-1\r\n", "PTTL", "k")
	f("+OK\r\n", "SET", "k", "v", "EXAT", "99999999999")
	f(":4294967294\r\n", "EXPIRETIME", "k")
	f("+OK\r\n", "SET", "k", "v", "PXAT", "1")
	f("$-1\r\n", "GET", "k")
}

// scanAll follows the cursor to the end and returns the keys in order, each once.
func scanAll(t *testing.T, r *rig, options ...string) (keys []string) {
	t.Helper()
	cur := "0"
	for range 10_000 {
		r.give(request(append([]string{"SCAN", cur}, options...)...))
		words := strings.Split(r.take(), "\r\n")
		if len(words) < 4 || words[0] != "*2" {
			t.Fatalf("SCAN %s %q: %q", cur, options, words)
		}
		cur = words[2]
		for i := 5; i < len(words); i += 2 {
			keys = append(keys, words[i])
		}
		if cur == "0" {
			slices.Sort(keys)
			return slices.Compact(keys)
		}
	}
	t.Fatalf("SCAN %q does not end", options)
	return nil
}

func TestScan(t *testing.T) {
	env := newEnv(t, engine.Options{})
	r := newRig(t, service(Options{Env: env}))
	var all, some []string
	for i := range 500 {
		key := fmt.Sprintf("key:%03d", i)
		r.give(request("SET", key, "v"))
		all = append(all, key)
		if i%100/10 == 7 {
			some = append(some, key)
		}
	}
	r.take()
	f := func(want []string, options ...string) {
		t.Helper()
		if diff := cmp.Diff(want, scanAll(t, r, options...)); diff != "" {
			t.Errorf("SCAN %q (-want +got):\n%s", options, diff)
		}
	}
	f(all)
	f(all, "COUNT", "1")
	f(all, "COUNT", "1000000000", "MATCH", "key:*")
	f(some, "MATCH", "key:[0-9]7?", "COUNT", "100", "TYPE", "string")
	f(nil, "TYPE", "list", "COUNT", "100")
	f(nil, "MATCH", "nothing")
	r.give(request("SCAN", "x"))
	r.give(request("SCAN", "0", "COUNT", "0"))
	r.give(request("SCAN", "0", "COUNT"))
	r.give(request("SCAN", "18446744073709551615"))
	if got, want := r.take(), "-ERR invalid cursor\r\n-ERR syntax error\r\n-ERR syntax error\r\n*2\r\n$1\r\n0\r\n*0\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSharedWithMemcached(t *testing.T) {
	env := newEnv(t, engine.Options{})
	r := newRig(t, service(Options{Env: env}))
	ref := env.Store.Lock([]byte("k"), testNow)
	if err := ref.Put(engine.Value{Flags: 5, Expires: testNow + 9}, []byte("41")); err != nil {
		t.Fatal(err)
	}
	ref.Unlock()
	r.give(request("INCR", "k"))
	r.give(request("TTL", "k"))
	r.give(request("GET", "k"))
	if got, want := r.take(), ":42\r\n:9\r\n$2\r\n42\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	ref = env.Store.Lock([]byte("k"), testNow)
	if ref.Flags() != 5 {
		t.Errorf("INCR changed the flags to %d", ref.Flags())
	}
	ref.Unlock()
	r.give(request("SET", "k", "v"))
	ref = env.Store.Lock([]byte("k"), testNow)
	if ref.Flags() != 0 || ref.Expires() != engine.Never {
		t.Errorf("after SET flags %d, expiry %d", ref.Flags(), ref.Expires())
	}
	ref.Unlock()
}

func TestInfoAndCommand(t *testing.T) {
	env := newEnv(t, engine.Options{})
	r := newRig(t, service(Options{Env: env, Version: "1.2"}))
	r.give(request("SET", "k", "v"))
	r.take()
	f := func(words []string, want ...string) {
		t.Helper()
		r.give(request(words...))
		got := r.take()
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%q lacks %q: %.500q", words, w, got)
			}
		}
	}
	f([]string{"INFO"}, "# Server\r\n", "redis_version:7.0.15\r\n", "cached_version:1.2\r\n", "connected_clients:1\r\n", "maxmemory_policy:allkeys-lru\r\n",
		"total_commands_processed:1\r\n", "role:master\r\n", "db0:keys=1,expires=0,avg_ttl=0\r\n")
	f([]string{"INFO", "keyspace"}, "$44\r\n# Keyspace\r\ndb0:")
	f([]string{"INFO", "nothing"}, "$0\r\n\r\n")
	f([]string{"COMMAND", "COUNT"}, fmt.Sprintf(":%d\r\n", len(r.svc.table)))
	f([]string{"COMMAND"}, fmt.Sprintf("*%d\r\n", len(r.svc.table)), "*6\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n")
	f([]string{"COMMAND", "INFO", "GET", "nosuch"}, "*2\r\n*6\r\n$3\r\nget\r\n", "*-1\r\n")
	f([]string{"COMMAND", "DOCS", "get"}, "*0\r\n")
	f([]string{"CONFIG", "GET", "max*"}, "*6\r\n$9\r\nmaxmemory\r\n$9\r\n268435456\r\n", "maxclients")
	f([]string{"CLIENT", "LIST"}, "id=1 addr=127.0.0.1:5 laddr=127.0.0.1:6379 name= age=0 idle=0 flags=N db=0 sub=0 psub=0 multi=-1 cmd=config user=default resp=2\n")
	f([]string{"CLIENT", "SETINFO", "LIB-NAME", "x"}, "+OK\r\n")
	f([]string{"HELLO", "3"}, "-NOPROTO unsupported protocol version\r\n")
}

func TestAllocations(t *testing.T) {
	r := newRig(t, service(Options{Env: newEnv(t, engine.Options{})}))
	r.give(request("SET", "key", strings.Repeat("v", 100)))
	in := append(request("GET", "key"), request("MGET", "key", "none", "key")...)
	in = append(append(in, request("EXISTS", "key")...), request("TTL", "key")...)
	in = append(in, request("PING")...)
	var out session.Out
	if n := testing.AllocsPerRun(1000, func() {
		out.Buf = out.Buf[:0]
		r.s.Step(in, &out)
	}); n != 0 {
		t.Errorf("%.1f allocations", n)
	}
}

// TestEventsAreTold has watchers, prefixes and subscribers see what clients of this protocol do.
func TestEventsAreTold(t *testing.T) {
	env := newEnv(t, engine.Options{})
	var lines, changes []string
	env.Watch.Send = func(_ session.Topic, line []byte) { lines = append(lines, string(line)) }
	env.Watch.Want(session.Fetchers | session.Mutations | session.Deletions)
	env.Changed = func(c session.Change) {
		changes = append(changes, fmt.Sprintf("%s deleted=%v size=%d", c.Key, c.Deleted, c.Size))
	}
	env.Publish.Store(true)
	env.Prefixes.Enable(true)
	r := newRig(t, service(Options{Env: env}))
	for _, words := range [][]string{
		{"SET", "p:a", "v", "EX", "100"}, {"GET", "p:a"}, {"MGET", "p:none"}, {"INCR", "n"}, {"APPEND", "p:a", "w"}, {"DEL", "p:a", "p:none"}, {"MSET", "p:b", "1"}, {"GETDEL", "p:b"},
	} {
		r.give(request(words...))
	}
	if diff := cmp.Diff([]string{
		"type=item_get key=p%3Aa status=not_found clsid=0 cfd=1 size=0", "type=item_store key=p%3Aa status=stored cmd=set ttl=100 clsid=1 cfd=1 size=1",
		"type=item_get key=p%3Aa status=found clsid=1 cfd=1 size=1", "type=item_get key=p%3Anone status=not_found clsid=0 cfd=1 size=0",
		"type=item_get key=n status=not_found clsid=0 cfd=1 size=0", "type=item_store key=n status=stored cmd=add ttl=0 clsid=1 cfd=1 size=1",
		"type=item_get key=p%3Aa status=found clsid=1 cfd=1 size=1", "type=item_store key=p%3Aa status=stored cmd=append ttl=100 clsid=1 cfd=1 size=2",
		"type=item_get key=p%3Aa status=found clsid=1 cfd=1 size=2", "type=deleted key=p%3Aa cmd=del clsid=1 cfd=1 size=2",
		"type=item_get key=p%3Anone status=not_found clsid=0 cfd=1 size=0",
		"type=item_get key=p%3Ab status=not_found clsid=0 cfd=1 size=0", "type=item_store key=p%3Ab status=stored cmd=set ttl=0 clsid=1 cfd=1 size=1",
		"type=item_get key=p%3Ab status=found clsid=1 cfd=1 size=1", "type=deleted key=p%3Ab cmd=getdel clsid=1 cfd=1 size=1",
	}, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"p:a deleted=false size=1", "n deleted=false size=1", "p:a deleted=false size=2", "p:a deleted=true size=0",
		"p:b deleted=false size=1", "p:b deleted=true size=0"}, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if got, want := string(env.Prefixes.AppendDump(nil)), "PREFIX p get 3 hit 2 set 3 del 3\r\nEND\r\n"; got != want {
		t.Errorf("prefixes %q, want %q", got, want)
	}
}
