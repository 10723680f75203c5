package probe

import (
	"context"
	"database/sql/driver"
	"io"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
)

// mysql8 answers as MySQL 8.4 does: the column names differ from MariaDB's, and old statements are syntax errors.
type mysql8 struct {
	answers map[string][]row
}

func (m mysql8) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	rows, ok := m.answers[query]
	if !ok {
		return nil, &mysql.MySQLError{Number: 1064, Message: "You have an error in your SQL syntax"}
	}
	out := &fakeRows{rows: rows}
	if len(rows) > 0 {
		for name := range rows[0] {
			out.names = append(out.names, name)
		}
	}
	return out, nil
}

type fakeRows struct {
	names []string
	rows  []row
}

func (r *fakeRows) Columns() []string { return r.names }
func (r *fakeRows) Close() error      { return nil }
func (r *fakeRows) Next(dest []driver.Value) error {
	if len(r.rows) == 0 {
		return io.EOF
	}
	for i, name := range r.names {
		dest[i] = nil
		if c := r.rows[0][name]; c.set {
			dest[i] = []byte(c.text)
		}
	}
	r.rows = r.rows[1:]
	return nil
}

// status8 is a row of SHOW REPLICA STATUS; lag "" is NULL.
func status8(channel, io, sql, lag string) row {
	return row{
		"Channel_Name": {channel, true}, "Replica_IO_Running": {io, true}, "Replica_SQL_Running": {sql, true},
		"Seconds_Behind_Source": {lag, lag != ""}, "Last_IO_Error": {"io trouble", true}, "Last_SQL_Error": {"", true},
	}
}

func TestMySQL8Replica(t *testing.T) {
	f := func(c MySQLConfig, want string, warn bool, rows ...row) {
		t.Helper()
		check := &mysqlCheck{MySQLConfig: &c}
		out, err := check.examine(t.Context(), mysql8{map[string][]row{"SHOW REPLICA STATUS": rows}})
		got := out.detail
		if err != nil {
			got = "error: " + err.Error()
		}
		if !strings.Contains(got, want) || out.warn != warn {
			t.Errorf("%+v: %q, warn %v; want %q, %v", rows, got, out.warn, want, warn)
		}
	}
	replica := MySQLConfig{Role: "replica", MaxLag: conf.Duration(5e9), PrimaryLost: "down"}
	f(replica, "replica, 5 s behind", false, status8("", "Yes", "Yes", "5"))
	f(replica, "error: 6 s behind, limit 5s", false, status8("", "Yes", "Yes", "6"))
	f(replica, "error: replication lag is not known (NULL)", false, status8("", "Yes", "Yes", ""))
	f(replica, "error: SQL thread is not running", false, status8("", "Yes", "No", ""))
	f(replica, `error: IO thread is not running ("Connecting") io trouble`, false, status8("", "Connecting", "Yes", ""))
	f(replica, "error: replication lag \"x\" is not a number", false, status8("", "Yes", "Yes", "x"))
	f(replica, "error: server replicates from nobody", false)
	f(replica, `error: channel "b": 9 s behind`, false, status8("a", "Yes", "Yes", "1"), status8("b", "Yes", "Yes", "9"))
	f(replica, "replica, 4 s behind", false, status8("a", "Yes", "Yes", "4"), status8("b", "Yes", "Yes", "1"))

	lost := replica
	lost.PrimaryLost = "warn"
	f(lost, "cannot reach its primary: io trouble", true, status8("", "Connecting", "Yes", ""))
	f(lost, "error: SQL thread", false, status8("", "Connecting", "No", ""))
	f(lost, `error: IO thread is not running ("No")`, false, status8("", "No", "Yes", ""))
	f(lost, `error: channel "b": 9 s behind`, false, status8("a", "Connecting", "Yes", ""), status8("b", "Yes", "Yes", "9"))
}

func TestMySQL8Primary(t *testing.T) {
	const query = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'super_read_only', 'innodb_read_only')"
	f := func(want string, values ...string) {
		t.Helper()
		var rows []row
		for i, v := range values {
			rows = append(rows, row{"Variable_name": {[]string{"read_only", "super_read_only"}[i], true}, "Value": {v, true}})
		}
		check := &mysqlCheck{MySQLConfig: &MySQLConfig{Role: "primary"}}
		out, err := check.examine(t.Context(), mysql8{map[string][]row{query: rows}})
		if err != nil {
			out.detail = "error: " + err.Error()
		}
		if !strings.Contains(out.detail, want) {
			t.Errorf("%v: %q, want %q", values, out.detail, want)
		}
	}
	f("takes writes", "OFF", "OFF")
	f("error: super_read_only is ON", "OFF", "ON")
	f("error: read_only is ON", "ON")
	f("error: read_only is NO_LOCK", "NO_LOCK")
	f("error: no row")
}

func TestMySQLErrorClasses(t *testing.T) {
	f := func(number uint16, want fault.Class) {
		t.Helper()
		if got := mysqlClass(t.Context(), &mysql.MySQLError{Number: number}); got != want {
			t.Errorf("error %d is %s, want %s", number, got, want)
		}
	}
	f(1045, fault.Denied)
	f(1227, fault.Denied)
	f(1040, fault.Unavailable) // too many connections
	f(1129, fault.Unavailable) // host is blocked
}
