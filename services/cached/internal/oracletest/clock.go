package oracletest

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
)

// nearNow is how far from the present a Unix time may be and still be meant to be the present, in seconds.
const nearNow = 4

// endOfTime is the latest exptime there is: 2^31-1.
const endOfTime = 1<<31 - 1

var longNumber = regexp.MustCompile(`[0-9]{9,10}`)

// maskNow puts {now} where s has a Unix time near now, and {2147483647-now} where it has how long the latest exptime is off.
func maskNow(s string, now int64) string {
	return longNumber.ReplaceAllStringFunc(s, func(d string) string {
		n, _ := strconv.ParseInt(d, 10, 64)
		switch {
		case n > now-nearNow && n < now+nearNow:
			return "{now}"
		case n > endOfTime-now-nearNow && n < endOfTime-now+nearNow:
			return fmt.Sprintf("{%d-now}", endOfTime)
		}
		return d
	})
}

// seconds matches what counts seconds in an answer: the meta flags t and l, exp= and la= of me.
var seconds = regexp.MustCompile(`([ =]|^)(t|l|exp=|la=)([0-9]+)\b`)

// sameButSeconds says whether two answers are the same where a clock that ticks between set and get may make one second's
// difference.
func sameButSeconds(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	at, bt := seconds.FindAllSubmatch(a, -1), seconds.FindAllSubmatch(b, -1)
	if len(at) != len(bt) {
		return false
	}
	for i := range at {
		x, _ := strconv.ParseInt(string(at[i][3]), 10, 64)
		y, _ := strconv.ParseInt(string(bt[i][3]), 10, 64)
		if x-y > 1 || y-x > 1 {
			return false
		}
	}
	blank := []byte("$1$2#")
	return bytes.Equal(seconds.ReplaceAll(a, blank), seconds.ReplaceAll(b, blank))
}
