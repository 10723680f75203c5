// Package oracletest compares cached with Debian's memcached 1.6.18, byte for byte. Only tests import it, the daemon never.
//
// # Golden files
//
// testdata/text.golden, meta.golden, binary.golden and auth.golden hold conversations and what memcached 1.6.18 answers: each was had with a
// fresh process, and a test has them again (EVERUP_GOLDEN=all: every one). They are the specification of the parsers; Cases reads them, so that a parser's
// package can replay them without any process. `go test -run TestGolden -rewrite` asks memcached anew.
//
// A file is a list of cases:
//
//	# what is worth knowing about the case
//	== name of the case
//	args: -I 2048
//	differs: name
//	> get a\r\n
//	< END\r\n
//	closed
//
// "args" are memcached's flags beside those for socket, user and thread. "differs" names one of Differences: cached answers
// otherwise here, on purpose. A line ">" is sent and a line "<" is answered; neighbouring lines are one write, or one answer.
// All that is sent before the first "<" is pipelined: its answers come together. A ">" after a "<" is sent when that answer
// has come. "@2" lets the next lines go over a second connection, "+3" lets three seconds pass on the server's clock;
// both, and a bare "--", also begin a step, as is needed after one that gets no answer. "closed" says
// that the server hangs up after the last answer by itself; else it waits for more on all connections.
//
// Text stands as in a Go string with {250*k} for 250 times k, {now} for the present Unix time and \{ for a brace. Binary
// files are in hexadecimal, where blanks, "|" and what follows "#" mean nothing, with {250*6b} for repetition.
//
// # Servers
//
// Start runs memcached and Program runs cached under the same flags: both give a Server, and what is written against a
// Server's address runs against either.
package oracletest
