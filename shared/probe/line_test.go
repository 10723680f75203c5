package probe

import (
	"crypto/tls"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
)

// The good conversations of the line protocols, by the server's side.
var (
	smtpTalk = []exchange{
		{"", "220-mail.example\r\n220 ready\r\n"}, {"EHLO probe.example", "250-mail.example\r\n250 SIZE 100\r\n"},
		{"QUIT", "221 bye\r\n"},
	}
	memcachedTalk = []exchange{{"version", "VERSION 1.6.18\r\n"}}
	redisInfo     = "# Replication\r\nrole:slave\r\nmaster_link_status:up\r\nmaster_last_io_seconds_ago:7\r\nmaster_sync_in_progress:0\r\n"
	redisTalk     = []exchange{
		{"*2", ""}, {"$4", ""}, {"AUTH", ""}, {"$6", ""}, {"secret", "+OK\r\n"},
		{"*1", ""}, {"$4", ""}, {"PING", "+PONG\r\n"},
		{"*2", ""}, {"$4", ""}, {"INFO", ""}, {"$11", ""}, {"replication", "$" + strconv.Itoa(len(redisInfo)) + "\r\n" + redisInfo + "\r\n"},
	}
)

const (
	smtpCheckText  = "{type: smtp, smtp: {helo: probe.example}}"
	redisCheckText = "{type: redis, redis: {password: secret, role: replica, max_lag: 10s}}"
)

func TestLineProtocols(t *testing.T) {
	labtest.LeakCheck(t)
	wantOK(t, check(t, serve(t, scripted(smtpTalk, -1)), smtpCheckText), "ready")
	wantOK(t, check(t, serve(t, scripted(memcachedTalk, -1)), "type: memcached"), "version 1.6.18")
	wantOK(t, check(t, serve(t, scripted(redisTalk, -1)), redisCheckText), "replica, heard of its primary 7 s ago")
}

// TestCutAtEachByte closes the connection after each number of the server's bytes: none but the last is enough.
func TestCutAtEachByte(t *testing.T) {
	labtest.LeakCheck(t)
	f := func(text string, talk []exchange, enough int) {
		t.Helper()
		c, err := New(makeConfig(t, text))
		if err != nil {
			t.Fatal(err)
		}
		for n := range enough {
			r := c.Check(t.Context(), Target{Addr: mustAddrPort(serve(t, scripted(talk, n)))})
			if r.OK || r.Detail == "" || r.Class == 0 {
				t.Errorf("%s: OK after %d bytes: %+v", text, n, r)
			}
		}
	}
	f(smtpCheckText+"\n", smtpTalk, len(smtpTalk[0].reply)+len(smtpTalk[1].reply)) // the farewell does not matter
	f("type: memcached", memcachedTalk, len(memcachedTalk[0].reply))
	total := 0
	for _, s := range redisTalk {
		total += len(s.reply)
	}
	f(redisCheckText, redisTalk, total)
}

func TestRedisAnswers(t *testing.T) {
	labtest.LeakCheck(t)
	f := func(answer string, class fault.Class, words ...string) {
		t.Helper()
		talk := []exchange{{"*1", ""}, {"$4", ""}, {"PING", answer + "\r\n"}}
		wantBad(t, check(t, serve(t, scripted(talk, -1)), "type: redis"), class, words...)
	}
	f("-LOADING Redis is loading the dataset in memory", fault.Unavailable, "LOADING")
	f("-MASTERDOWN Link with MASTER is down", fault.Unavailable, "MASTERDOWN")
	f("-NOAUTH Authentication required.", fault.Denied, "NOAUTH")
	f("+PING", fault.Corrupt)
	f("HTTP/1.1 400 Bad Request", fault.Corrupt, "not RESP")
	f("$99999999999999999999", fault.Corrupt, "bulk string")
	f("$-1", fault.Corrupt)
	f("", fault.Corrupt, "empty")
}

func TestRedisRoles(t *testing.T) {
	f := func(c RedisConfig, info, want string) {
		t.Helper()
		check := &redisCheck{RedisConfig: &c}
		detail, err := check.judge(parseInfo(info))
		if err != nil {
			detail = err.Error()
		}
		if !strings.Contains(detail, want) {
			t.Errorf("%q: %q, want %q", info, detail, want)
		}
	}
	any, primary, replica := RedisConfig{Role: "any"}, RedisConfig{Role: "primary"}, RedisConfig{Role: "replica"}
	const linked = "role:slave\r\nmaster_link_status:up\r\n"
	f(primary, "role:master\r\nconnected_slaves:2\r\n", "primary with 2 replicas")
	f(replica, "role:master\r\n", "wanted replica")
	f(primary, linked+"master_last_io_seconds_ago:1\r\n", "wanted primary")
	f(replica, "role:slave\r\nmaster_link_status:down\r\nmaster_last_io_seconds_ago:-1\r\n", `link to its primary is "down"`)
	f(any, linked+"master_sync_in_progress:1\r\n", "being synced")
	f(replica, linked+"master_last_io_seconds_ago:-1\r\n", "has not heard")
	f(RedisConfig{Role: "any", MaxLag: 5e9}, linked+"master_last_io_seconds_ago:6\r\n", "limit 5 s")
	f(RedisConfig{Role: "any", MaxLag: 5e9}, linked+"master_last_io_seconds_ago:5\r\n", "5 s ago")
	f(any, "garbage", "no role")
}

func TestSMTPAnswers(t *testing.T) {
	labtest.LeakCheck(t)
	f := func(greeting string, class fault.Class, words ...string) {
		t.Helper()
		wantBad(t, check(t, serve(t, scripted([]exchange{{"", greeting}}, -1)), "type: smtp"), class, words...)
	}
	f("554 no service\r\n", fault.Unavailable, "greeting", "554 no service")
	f("220-a\r\n250 b\r\n", fault.Corrupt)
	f("+OK POP3\r\n", fault.Corrupt, "not SMTP")
	f(strings.Repeat("220-x\r\n", 20000), fault.Corrupt) // more than maxReply
	f(strings.Repeat("2", 5000)+"\r\n", fault.Corrupt, "line of more than")
}

func TestSMTPOverTLS(t *testing.T) {
	labtest.LeakCheck(t)
	cert, ca := certificate(t, days(5))
	tc := &tls.Config{Certificates: []tls.Certificate{cert}}
	hello := exchange{"EHLO", "250 mail.example\r\n"}
	upgrade := func(extra string) func(net.Conn) {
		return func(c net.Conn) {
			step := []exchange{{"", "220 ready\r\n"}, {"EHLO", "250-mail.example\r\n250 STARTTLS\r\n"}, {"STARTTLS", "220 go\r\n" + extra}}
			talkLines(c, step)
			s := tls.Server(c, tc)
			talkLines(s, []exchange{hello, {"QUIT", "221 bye\r\n"}})
		}
	}
	r := check(t, serve(t, upgrade("")), "{type: smtp, smtp: {starttls: true}, tls: {ca_file: "+ca+"}}")
	if wantOK(t, r, "ready", "expires in 5 days"); !r.Warn {
		t.Errorf("no warning 5 days before the end: %+v", r)
	}
	r = check(t, serve(t, upgrade("250 injected\r\n")), "{type: smtp, smtp: {starttls: true}, tls: {ca_file: "+ca+"}}")
	wantBad(t, r, fault.Corrupt, "STARTTLS")
	r = check(t, serve(t, upgrade("")), "{type: smtp, smtp: {starttls: true}}")
	wantBad(t, r, fault.Unavailable, "unknown authority")
	r = check(t, serve(t, func(c net.Conn) { scripted(smtpTalk, -1)(tls.Server(c, tc)) }),
		"{type: smtp, smtp: {helo: probe.example}, tls: {ca_file: "+ca+"}}")
	wantOK(t, r, "ready")
}

// talkLines follows the steps reading byte by byte, so that nothing of what comes after is taken.
func talkLines(c net.Conn, steps []exchange) {
	for _, s := range steps {
		for b := make([]byte, 1); s.want != "" && b[0] != '\n'; {
			if _, err := c.Read(b); err != nil {
				return
			}
		}
		io.WriteString(c, s.reply)
	}
}
