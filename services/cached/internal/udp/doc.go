// Package udp carries memcached's protocols over datagrams: an 8-byte frame (request number, sequence number, number of datagrams, reserved;
// two bytes each, most significant first), then text or binary requests as over TCP. One datagram is one request: those that announce more are
// dropped, as in memcached, and a session keeps nothing from one to the next. The answers to one datagram are one message, cut into datagrams of at most
// 1400 bytes that are numbered through, as memcached's protocol.txt says. (memcached 1.6 begins anew at 0 for every key of a get, so
// that a client cannot put them together.)
//
// # Whom it answers
//
// The source of a datagram can be forged, so an answer may hit somebody who has not asked: memcached was the worst amplifier known. Therefore:
//
//   - A source in one of Config.Trusted, loopback unless said otherwise, is served in full, as memcached serves everybody. Loopback addresses
//     cannot be forged from outside: the kernel drops what comes from another interface with one.
//   - Any other source is a stranger. It may get and gets (in binary Get, GetK, their quiet forms and the no-op) and nothing else, one
//     line or a row of whole packets to the datagram. Requests are limited for each network, /24 or /56.
//   - To a stranger no answer weighs more than its request, headers of IP and UDP included. One that would is replaced by an error that fits, or dropped.
//   - A stranger that echoes a cookie has shown that it receives at its address, and gets answers of any size. It asks by a
//     text request "cookie <padding>\r\n" of at least 25 bytes, is answered "COOKIE <16 digits>\r\n", never longer, and puts "cookie <16
//     digits>\r\n" in front of each request, text or binary. A cookie holds for its address and for 5 to 10 minutes; with an old or wrong one
//     the answer is a new cookie. Nothing is kept for a cookie. Each datagram of the answer costs one token of the network's rate.
//
// With Config.Deny strangers are not answered at all. Authentication and UDP exclude each other, for a datagram has no connection to
// authenticate: NewServer refuses it.
//
// # Shape
//
// A loop is a goroutine that receives and sends many datagrams by one system call each (recvmmsg, sendmmsg); what it decides is in handler, which does
// no I/O. A server may have several loops, on sockets that share a port. An answer is made in memory before its first datagram goes, since
// that tells how many there are; Config.MaxAnswer bounds it.
package udp
