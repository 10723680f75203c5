package probe

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"github.com/everup/everup/shared/fault"
)

// channel is a replica's connection to one primary.
type channel struct {
	name    string // empty for the only one
	io, sql string // Yes, No, Connecting; older MariaDB: Preparing
	lag     cell   // Seconds_Behind_Master or _Source; NULL while the server does not know
	ioErr   string
	sqlErr  string
}

// newChannel reads a row in the column names of MariaDB and MySQL 5.7 or of MySQL 8.0.22 and later.
func newChannel(r row) channel {
	first := func(names ...string) cell {
		for _, n := range names {
			if c, ok := r[n]; ok {
				return c
			}
		}
		return cell{}
	}
	return channel{
		name:   first("connection_name", "channel_name").text,
		io:     first("replica_io_running", "slave_io_running").text,
		sql:    first("replica_sql_running", "slave_sql_running").text,
		lag:    first("seconds_behind_source", "seconds_behind_master"),
		ioErr:  first("last_io_error").text,
		sqlErr: first("last_sql_error").text,
	}
}

// judge wants every channel to be well. The worst lag stands for the server.
func (c *mysqlCheck) judge(chs []channel) (outcome, error) {
	var worst int64
	var lost []channel
	for _, ch := range chs {
		if ch.primaryLost() && c.PrimaryLost != "down" {
			lost = append(lost, ch)
			continue
		}
		lag, err := ch.behind()
		if err == nil && c.MaxLag > 0 && lag > int64(c.MaxLag.Std().Seconds()) {
			err = fault.New(fault.Unavailable, "%d s behind, limit %s", lag, c.MaxLag.Std())
		}
		if err != nil {
			return outcome{}, ch.wrap(err)
		}
		worst = max(worst, lag)
	}
	if len(lost) > 0 {
		return outcome{detail: "replica cannot reach its primary: " + lost[0].ioErr, warn: c.PrimaryLost == "warn"}, nil
	}
	return outcome{detail: fmt.Sprintf("replica, %d s behind", worst)}, nil
}

// primaryLost reports that the replica is sound but has no connection to its primary. The server then tells no
// lag (NULL).
func (ch channel) primaryLost() bool { return ch.io == "Connecting" && ch.sql == "Yes" }

// behind returns the lag of a channel that runs. NULL is an error, since it means that nobody knows.
func (ch channel) behind() (int64, error) {
	switch {
	case ch.sql != "Yes":
		return 0, fault.New(fault.Unavailable, "SQL thread is not running (%q) %s", ch.sql, ch.sqlErr)
	case ch.io != "Yes":
		return 0, fault.New(fault.Unavailable, "IO thread is not running (%q) %s", ch.io, ch.ioErr)
	case !ch.lag.set:
		return 0, fault.New(fault.Unavailable, "replication lag is not known (NULL)")
	}
	lag, ok := ch.lag.seconds()
	if !ok {
		return 0, fault.New(fault.Corrupt, "replication lag %q is not a number", ch.lag.text)
	}
	return lag, nil
}

// wrap names the channel of an error where the replica has several.
func (ch channel) wrap(err error) error {
	if ch.name == "" {
		return err
	}
	return fault.Wrap(fault.Of(err), err, "channel %q", ch.name)
}

// newCell takes what the driver returns: text as bytes, numbers as numbers, NULL as nil.
func newCell(v driver.Value) cell {
	switch v := v.(type) {
	case nil:
		return cell{}
	case []byte:
		return cell{string(v), true}
	}
	return cell{fmt.Sprint(v), true}
}

// ignoreEOF makes the end of rows no error.
func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// orNoRow is err, or says that a query that always has rows returned none.
func orNoRow(err error, rows []row) error {
	if err == nil && len(rows) == 0 {
		return fault.New(fault.Corrupt, "no row")
	}
	return err
}
