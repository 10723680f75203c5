package probe

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
)

// mariadb is a real server on loopback.
type mariadb struct {
	t      testing.TB
	dir    string
	addr   string
	cmd    *exec.Cmd
	socket string
}

// installMariaDB makes an empty data directory, to be copied for each server.
func installMariaDB(t testing.TB) (dir string) {
	t.Helper()
	labtest.Needs(t, labtest.Root, "mariadb-install-db", "mariadbd", "mariadb")
	dir = filepath.Join(t.TempDir(), "data")
	out, err := exec.Command("mariadb-install-db", "--no-defaults", "--datadir="+dir, "--user=root",
		"--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=4M").CombinedOutput()
	if err != nil {
		t.Fatalf("mariadb-install-db: %v\n%s", err, out)
	}
	return dir
}

func startMariaDB(t testing.TB, template string, id int, more ...string) *mariadb {
	t.Helper()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if out, err := exec.Command("cp", "-a", template, data).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v %s", err, out)
	}
	init := filepath.Join(dir, "init.sql")
	err := os.WriteFile(init, []byte(`CREATE OR REPLACE USER probe@'127.0.0.1' IDENTIFIED BY 'pw';
GRANT REPLICA MONITOR ON *.* TO probe@'127.0.0.1';
CREATE OR REPLACE USER nobody@'127.0.0.1' IDENTIFIED BY 'pw';
CREATE OR REPLACE USER repl@'127.0.0.1' IDENTIFIED BY 'pw';
GRANT REPLICATION SLAVE ON *.* TO repl@'127.0.0.1';
RESET MASTER;
`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	m := &mariadb{t: t, dir: dir, addr: labtest.FreeAddr(t), socket: filepath.Join(dir, "s")}
	m.cmd = startReal(t, "mariadbd", append([]string{"--no-defaults", "--user=root", "--datadir=" + data, "--socket=" + m.socket,
		"--bind-address=127.0.0.1", "--port=" + port(m.addr), "--pid-file=" + filepath.Join(dir, "pid"),
		"--server-id=" + strconv.Itoa(id), "--log-bin=bin", "--init-file=" + init, "--skip-name-resolve",
		"--innodb-buffer-pool-size=16M", "--innodb-log-file-size=4M", "--max-connect-errors=100000",
		"--slave-net-timeout=10", "--skip-slave-start"}, more...)...)
	soon(t, m.addr, "{type: mysql, mysql: {user: probe, password: pw}}", true, "MariaDB")
	return m
}

// position returns how far the server has written its log.
func (m *mariadb) position() string { return strings.TrimSpace(m.sql("SELECT @@gtid_binlog_pos")) }

// sql runs statements as root through the socket and returns their rows.
func (m *mariadb) sql(statements string) string {
	m.t.Helper()
	cmd := exec.Command("mariadb", "--no-defaults", "--skip-column-names", "--user=root", "--socket="+m.socket)
	cmd.Stdin = strings.NewReader(statements)
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("sql %s: %v\n%s", statements, err, out)
	}
	return string(out)
}

// follow makes m a replica of p, as channel name if that is not empty.
func (m *mariadb) follow(p *mariadb, name, more string) {
	m.t.Helper()
	m.sql("CHANGE MASTER '" + name + "' TO MASTER_HOST='127.0.0.1', MASTER_PORT=" + port(p.addr) +
		", MASTER_USER='repl', MASTER_PASSWORD='pw', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1" + more +
		"; START SLAVE '" + name + "';")
}

func my(options string) string {
	return "{type: mysql, mysql: {user: probe, password: pw, " + options + "}}"
}

// TestRealMariaDB follows a primary and a replica through their states.
func TestRealMariaDB(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: MariaDB with replication takes some 20 s")
	}
	template := installMariaDB(t)
	certs := labtest.NewCerts(t)
	p := startMariaDB(t, template, 1, "--ssl-cert="+certs.CertFile, "--ssl-key="+certs.KeyFile, "--ssl-ca="+certs.CAFile)
	r := startMariaDB(t, template, 2)
	r.follow(p, "", "")
	r.sql("SET GLOBAL read_only=1")

	t.Run("log in", func(t *testing.T) { testMariaDBLogin(t, p, r) })
	t.Run("TLS", func(t *testing.T) { testMariaDBTLS(t, p.addr, certs.CAFile) })
	t.Run("roles", func(t *testing.T) {
		soon(t, r.addr, my("role: replica, max_lag: 5s"), true, "replica, 0 s behind")
		wantOK(t, check(t, p.addr, my("role: primary")), "primary, takes writes")
		wantBad(t, check(t, p.addr, my("role: replica")), fault.Unavailable, "replicates from nobody")
		wantOK(t, check(t, p.addr, my("role: any, max_lag: 5s")), "no replica")
		wantBad(t, check(t, r.addr, my("role: primary")), fault.Unavailable, "read_only is ON")
	})
	t.Run("cut at each byte", func(t *testing.T) { testMariaDBCut(t, r) })
	t.Run("stopped SQL thread", func(t *testing.T) {
		r.sql("STOP SLAVE SQL_THREAD")
		wantBad(t, check(t, r.addr, my("role: replica")), fault.Unavailable, "SQL thread is not running")
		wantBad(t, check(t, r.addr, my("role: any, max_lag: 1h, primary_lost: up")), fault.Unavailable, "SQL thread")
		r.sql("START SLAVE SQL_THREAD")
		soon(t, r.addr, my("role: replica"), true, "")
	})
	t.Run("broken replication", func(t *testing.T) {
		p.sql("CREATE DATABASE clash; CREATE TABLE clash.t (n INT PRIMARY KEY)")
		r.sql("SET sql_log_bin=0; DO MASTER_GTID_WAIT('" + p.position() + "', 20); INSERT INTO clash.t VALUES (1)")
		p.sql("INSERT INTO clash.t VALUES (1)")
		soon(t, r.addr, my("role: replica"), false, "Duplicate entry")
		r.sql("SET sql_log_bin=0; DELETE FROM clash.t; START SLAVE")
		soon(t, r.addr, my("role: replica, max_lag: 10s"), true, "")
	})
	t.Run("lag", func(t *testing.T) { testMariaDBLag(t, p, r) })
	t.Run("heartbeat", func(t *testing.T) {
		wantOK(t, check(t, r.addr, my("role: replica, max_lag: 5s, lag_query: SELECT 3.9")), "3 s behind")
		wantBad(t, check(t, r.addr, my("role: replica, max_lag: 5s, lag_query: SELECT 6")), fault.Unavailable, "6 s behind, limit 5s")
		wantBad(t, check(t, r.addr, my("role: replica, lag_query: SELECT NULL")), fault.Unavailable, "NULL")
		wantBad(t, check(t, r.addr, my("role: replica, lag_query: SELECT 1 FROM DUAL WHERE 1=0")), fault.Unavailable, "NULL")
		wantBad(t, check(t, r.addr, my("role: replica, lag_query: SELECT * FROM nosuch.table")), fault.Denied, "denied")
		wantBad(t, check(t, r.addr, my("role: replica, lag_query: SELECT id FROM information_schema.collations")), fault.Corrupt, "more than 64 rows")
	})
	t.Run("two primaries", func(t *testing.T) { testMariaDBChannels(t, template, p, r) })
	t.Run("primary dies", func(t *testing.T) {
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		soon(t, r.addr, my("role: replica"), false, `IO thread is not running ("Connecting")`)
		wantOK(t, check(t, r.addr, my("role: replica, primary_lost: up")), "cannot reach its primary")
		if res := check(t, r.addr, my("role: replica, primary_lost: warn, max_lag: 1s")); !res.OK || !res.Warn {
			t.Errorf("primary_lost: warn: %+v", res)
		}
		wantBad(t, check(t, p.addr, my("role: primary")), fault.Unavailable, "refused")
	})
}

func testMariaDBLogin(t *testing.T, p, r *mariadb) {
	labtest.LeakCheck(t)
	wrong := check(t, p.addr, "{type: mysql, mysql: {user: probe, password: hunter2}}")
	wantBad(t, wrong, fault.Denied, "Access denied")
	if strings.Contains(wrong.Detail, "hunter2") {
		t.Errorf("password in %q", wrong.Detail)
	}
	wantOK(t, check(t, p.addr, "{type: mysql, mysql: {user: nobody, password: pw}}"), "MariaDB")
	wantOK(t, check(t, p.addr, "{type: mysql, mysql: {user: nobody, password: pw, role: primary}}"))
	wantBad(t, check(t, r.addr, "{type: mysql, mysql: {user: nobody, password: pw, role: replica}}"), fault.Denied)
	wantBad(t, check(t, r.addr, "{type: mysql, mysql: {user: probe, password: pw}, tls: {verify: false}}"), fault.Unavailable, "TLS")
}

func testMariaDBTLS(t *testing.T, addr, caFile string) {
	labtest.LeakCheck(t)
	const text = "{type: mysql, mysql: {user: probe, password: pw, role: primary}, tls: "
	wantOK(t, check(t, addr, text+"{min_days: 0, ca_file: "+caFile+"}}"), "takes writes, TLS 1.3, certificate expires in")
	if r := check(t, addr, text+"{ca_file: "+caFile+"}}"); !r.OK || !r.Warn {
		t.Errorf("a day before the end, with min_days 14: %+v", r)
	}
	wantBad(t, check(t, addr, text+"{}}"), fault.Unavailable, "unknown authority")
}

// testMariaDBLag makes the replica late in the two ways there are: it is told to wait, or a lock makes it.
func testMariaDBLag(t *testing.T, p, r *mariadb) {
	p.sql("CREATE DATABASE shop; CREATE TABLE shop.t (n INT)")
	soon(t, r.addr, my("role: replica, max_lag: 1s"), true, "")
	r.sql("STOP SLAVE; CHANGE MASTER TO MASTER_DELAY=30; START SLAVE")
	p.sql("INSERT INTO shop.t VALUES (1)")
	soon(t, r.addr, my("role: replica, max_lag: 1s"), false, "s behind, limit 1s")
	wantOK(t, check(t, r.addr, my("role: replica, max_lag: 1h")))
	r.sql("STOP SLAVE; CHANGE MASTER TO MASTER_DELAY=0; START SLAVE")
	soon(t, r.addr, my("role: replica, max_lag: 1s"), true, "")
}

// testMariaDBChannels gives the replica a second primary by a named channel, and stops that one.
func testMariaDBChannels(t *testing.T, template string, p, r *mariadb) {
	second := startMariaDB(t, template, 3)
	second.sql("SET GLOBAL gtid_domain_id=7; RESET MASTER")
	r.follow(second, "east", "")
	soon(t, r.addr, my("role: replica"), true, "replica, 0 s behind")
	r.sql("STOP SLAVE 'east'")
	wantBad(t, check(t, r.addr, my("role: replica")), fault.Unavailable, `channel "east": SQL thread is not running`)
	r.sql("RESET SLAVE 'east' ALL")
	soon(t, r.addr, my("role: replica"), true, "")
}

// testMariaDBCut puts a proxy before the server that closes after so many of the server's bytes.
func testMariaDBCut(t *testing.T, r *mariadb) {
	total := proxiedBytes(t, r)
	if total < 1000 {
		t.Fatalf("a whole check took %d bytes", total)
	}
	for n := 0; n < total; n += 1 + n/10 {
		addr := serve(t, func(c net.Conn) { cut(c, r.addr, n) })
		if res := check(t, addr, my("role: replica")); res.OK || res.Class == 0 {
			t.Errorf("OK after %d of %d bytes: %+v", n, total, res)
		}
	}
}

// proxiedBytes returns how much the server sends in one check.
func proxiedBytes(t *testing.T, r *mariadb) int {
	sent := make(chan int, 1)
	addr := serve(t, func(c net.Conn) { sent <- cut(c, r.addr, 1<<20) })
	wantOK(t, check(t, addr, my("role: replica")))
	return <-sent
}

// cut copies between c and addr until addr has sent n bytes, and returns how many it sent.
func cut(c net.Conn, addr string, n int) int {
	s, err := net.Dial("tcp", addr)
	if err != nil {
		return 0
	}
	defer s.Close()
	go io.Copy(s, c) // ends with the connections
	var got bytes.Buffer
	io.Copy(io.MultiWriter(c, &got), io.LimitReader(s, int64(n)))
	return got.Len()
}
