package ops

import "github.com/everup/everup/services/cached/internal/engine"

const (
	// MaxRelative is the longest relative expiry time, 30 days in seconds: what is larger is an absolute Unix time.
	MaxRelative = 60 * 60 * 24 * 30
	// Past is an expiry that has passed: of an item that is dead as soon as it is stored.
	Past int64 = 1
)

// Expires translates a client's expiry time to Unix seconds: 0 is Never, a negative time has passed, up to MaxRelative it counts from now,
// above it is Unix time; an absolute time at or before started (when the server was started) has passed too.
func Expires(exptime, now, started int64) int64 {
	switch {
	case exptime == 0:
		return engine.Never
	case exptime < 0:
		return Past
	case exptime <= MaxRelative:
		return now + exptime
	case exptime <= started:
		return Past
	}
	return exptime
}
