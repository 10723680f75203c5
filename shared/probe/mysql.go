package probe

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
)

// MySQLConfig is a check by login, and by role and replication lag where asked for. It works with MySQL 5.7 and
// later and with MariaDB.
//
// The check logs in fully, since a server counts broken handshakes against the host that makes them
// (max_connect_errors) and would in the end refuse it. A user without any privilege serves for alive and
// role primary; replica status needs REPLICATION CLIENT (MariaDB 10.5 and later: REPLICA MONITOR).
type MySQLConfig struct {
	User        string        `yaml:"user" required:"true" doc:"User to log in as."`
	Password    conf.Secret   `yaml:"password" doc:"Its password."`
	Role        string        `yaml:"role" default:"any" enum:"any|primary|replica" doc:"primary: the server takes writes (read_only and super_read_only are off). replica: it replicates, and all its channels run."`
	MaxLag      conf.Duration `yaml:"max_lag" default:"0" max:"240h" doc:"A replica further behind its primary (whole seconds) is not well. 0 means no limit. A lag that the server does not know (NULL) is never well, whatever the limit."`
	PrimaryLost string        `yaml:"primary_lost" default:"down" enum:"down|warn|up" doc:"What a replica counts as that has applied what it has but cannot reach its primary. With down all replicas leave when the primary dies; warn and up keep them serving what they have."`
	LagQuery    string        `yaml:"lag_query" doc:"SQL whose single value is the lag in seconds (a heartbeat table), in place of the server's own figure. NULL or no row is not well."`
}

// Validate reports an empty user and settings that have no effect.
func (c *MySQLConfig) Validate(r *conf.Report) {
	if c.Role == "primary" && c.MaxLag > 0 {
		r.At("max_lag").Errorf("has no meaning for role primary")
	}
}

const (
	maxMySQLPacket = 64 << 10
	maxMySQLRows   = 64 // channels of a replica with many primaries
)

type mysqlCheck struct {
	*MySQLConfig
	dialer dialer
	tls    *tlsSection // nil: plain
}

func newMySQL(cfg *Config, d dialer) (checkFunc, error) {
	if cfg.MySQL == nil {
		return nil, fault.New(fault.Config, "section mysql is missing")
	}
	c := &mysqlCheck{MySQLConfig: cfg.MySQL, dialer: d}
	var err error
	c.tls, err = optionalTLS(cfg.TLS)
	return c.check, err
}

func (c *mysqlCheck) check(ctx context.Context, t Target) (outcome, error) {
	var cert outcome
	connector, err := mysql.NewConnector(c.driverConfig(ctx, t, &cert))
	if err != nil {
		return outcome{}, fault.Wrap(fault.Config, err, "mysql")
	}
	dc, err := connector.Connect(ctx)
	if err != nil {
		return outcome{}, fault.Wrap(mysqlClass(ctx, err), err, "mysql: log in")
	}
	defer dc.Close()
	q, ok := dc.(driver.QueryerContext)
	if !ok {
		panic("BUG: probe: the MySQL driver cannot query")
	}
	out, err := c.examine(ctx, q)
	cert.warn = cert.warn || out.warn
	return cert.prefix(out.detail), fault.Wrap(mysqlClass(ctx, err), err, "mysql")
}

// driverConfig makes each check its own connection: the driver dials through the check's dialer and knows
// neither names nor time-outs of its own. What the certificate says comes in cert.
func (c *mysqlCheck) driverConfig(ctx context.Context, t Target, cert *outcome) *mysql.Config {
	mc := mysql.NewConfig()
	mc.User, mc.Passwd = c.User, c.Password.Reveal()
	mc.Net, mc.Addr = "tcp", t.String()
	mc.MaxAllowedPacket = maxMySQLPacket
	mc.Logger = &mysql.NopLogger{}
	mc.CheckConnLiveness = false
	mc.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		nc, err := c.dialer.dial(ctx, "tcp", t)
		if err != nil {
			return nil, err
		}
		return &mysqlGuard{Conn: nc, tls: c.tls != nil}, nil
	}
	if c.tls != nil {
		mc.TLS = c.tls.config(t)
		mc.TLS.VerifyConnection = func(st tls.ConnectionState) error {
			*cert = c.tls.judge(st, time.Now())
			return nil
		}
	}
	return mc
}

// examine asks only as much as the configuration wants to know.
func (c *mysqlCheck) examine(ctx context.Context, q driver.QueryerContext) (outcome, error) {
	switch {
	case c.Role == "primary":
		return c.examinePrimary(ctx, q)
	case c.Role == "replica" || c.MaxLag > 0:
		return c.examineReplica(ctx, q)
	}
	rows, err := queryRows(ctx, q, "SELECT VERSION() AS version")
	if err != nil || len(rows) != 1 {
		return outcome{}, orNoRow(err, rows)
	}
	return outcome{detail: "version " + rows[0]["version"].text}, nil
}

// examinePrimary wants every switch that forbids writes to be off. MariaDB has no super_read_only; newer
// MariaDB has more values for read_only than ON.
func (c *mysqlCheck) examinePrimary(ctx context.Context, q driver.QueryerContext) (outcome, error) {
	rows, err := queryRows(ctx, q,
		"SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'super_read_only', 'innodb_read_only')")
	if err != nil || len(rows) == 0 {
		return outcome{}, orNoRow(err, rows)
	}
	for _, row := range rows {
		if v := row["value"].text; v != "OFF" && v != "0" {
			return outcome{}, fault.New(fault.Unavailable, "%s is %s, wanted a primary", row["variable_name"].text, v)
		}
	}
	return outcome{detail: "primary, takes writes"}, nil
}

func (c *mysqlCheck) examineReplica(ctx context.Context, q driver.QueryerContext) (outcome, error) {
	channels, err := replicaStatus(ctx, q)
	if err != nil {
		return outcome{}, err
	}
	if len(channels) == 0 {
		if c.Role == "replica" {
			return outcome{}, fault.New(fault.Unavailable, "server replicates from nobody, wanted a replica")
		}
		return outcome{detail: "no replica"}, nil
	}
	if c.LagQuery != "" {
		if channels, err = c.heartbeat(ctx, q, channels); err != nil {
			return outcome{}, err
		}
	}
	return c.judge(channels)
}

// replicaStatus returns all channels. MariaDB shows the named ones only with SHOW ALL SLAVES STATUS, MySQL
// shows all by SHOW REPLICA STATUS, before 8.0.22 SHOW SLAVE STATUS.
func replicaStatus(ctx context.Context, q driver.QueryerContext) ([]channel, error) {
	var rows []row
	var err error
	for _, query := range []string{"SHOW ALL SLAVES STATUS", "SHOW REPLICA STATUS", "SHOW SLAVE STATUS"} {
		if rows, err = queryRows(ctx, q, query); !isSyntaxError(err) {
			break
		}
	}
	var channels []channel
	for _, r := range rows {
		channels = append(channels, newChannel(r))
	}
	return channels, err
}

// heartbeat replaces the lag of the channels by what LagQuery returns.
func (c *mysqlCheck) heartbeat(ctx context.Context, q driver.QueryerContext, chs []channel) ([]channel, error) {
	rows, err := queryRows(ctx, q, c.LagQuery)
	if err != nil {
		return nil, err
	}
	var lag cell
	if len(rows) == 1 && len(rows[0]) == 1 {
		for _, v := range rows[0] {
			lag = v
		}
	}
	for i := range chs {
		chs[i].lag = lag
	}
	return chs, nil
}

// isSyntaxError tells a server that does not know a statement (ER_PARSE_ERROR).
func isSyntaxError(err error) bool {
	e, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && e.Number == 1064
}

// mysqlClass classes the server's errors: access and privileges are Denied.
func mysqlClass(ctx context.Context, err error) fault.Class {
	e, ok := errors.AsType[*mysql.MySQLError](err)
	if !ok {
		return classOf(ctx, err)
	}
	switch e.Number {
	case 1044, 1045, 1142, 1227, 1698: // access denied, in its several forms
		return fault.Denied
	}
	return fault.Unavailable
}

// cell is one value of a row; the zero cell is NULL.
type cell struct {
	text string
	set  bool
}

// seconds reads a whole number of seconds; ok is false for NULL and for anything else.
func (c cell) seconds() (n int64, ok bool) {
	whole, _, _ := strings.Cut(c.text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	return n, c.set && err == nil
}

// row is a row by column name in lower case.
type row map[string]cell

// queryRows runs a query without parameters and returns at most maxMySQLRows rows.
func queryRows(ctx context.Context, q driver.QueryerContext, query string) ([]row, error) {
	rs, err := q.QueryContext(ctx, query, nil)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	names := rs.Columns()
	values := make([]driver.Value, len(names))
	var rows []row
	for len(rows) < maxMySQLRows {
		if err := rs.Next(values); err != nil {
			return rows, ignoreEOF(err)
		}
		r := make(row, len(names))
		for i, name := range names {
			r[strings.ToLower(name)] = newCell(values[i])
		}
		rows = append(rows, r)
	}
	return nil, fault.New(fault.Corrupt, "more than %d rows", maxMySQLRows)
}
