package probe

import (
	"net"

	"github.com/everup/everup/shared/fault"
)

// mysqlGuard bounds what a hostile server can make the driver do: it stops the connection after
// maxMySQLTotal bytes, at a packet above maxMySQLPacket, and at a result with more than 250 columns, whose
// memory the driver takes before the first column has come. It reads the framing only while the stream is
// plain; once TLS has begun it counts bytes alone.
type mysqlGuard struct {
	net.Conn
	tls    bool // the client's first packet is the request for TLS
	sealed bool // TLS has begun: framing is not visible any more
	total  int
	header [4]byte
	have   int // bytes of header read
	left   int // bytes of the packet's body still to come
	first  bool
}

// maxMySQLTotal bounds one check: a status of 64 channels is below 200 KiB.
const maxMySQLTotal = 1 << 20

// Write notices the start of TLS: with it the server's greeting is the only thing that it sends in plain.
func (g *mysqlGuard) Write(b []byte) (int, error) {
	g.sealed = g.sealed || g.tls
	return g.Conn.Write(b)
}

// Read passes on what the rules allow.
func (g *mysqlGuard) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	if g.total += n; g.total > maxMySQLTotal {
		return 0, fault.New(fault.Corrupt, "more than %d bytes from the server", maxMySQLTotal)
	}
	if !g.sealed {
		if bad := g.inspect(b[:n]); bad != nil {
			return 0, bad
		}
	}
	return n, err
}

// inspect follows the packets: three bytes of length (little endian), one of sequence, the body.
func (g *mysqlGuard) inspect(b []byte) error {
	for len(b) > 0 {
		if g.left == 0 {
			n := copy(g.header[g.have:], b)
			g.have += n
			b = b[n:]
			if g.have == len(g.header) {
				g.have, g.first = 0, true
				g.left = int(g.header[0]) | int(g.header[1])<<8 | int(g.header[2])<<16
			}
			if g.left > maxMySQLPacket {
				return fault.New(fault.Corrupt, "packet of %d bytes", g.left)
			}
			continue
		}
		if g.first && g.header[3] == 1 && tooManyColumns(b[0]) {
			return fault.New(fault.Corrupt, "result with more than 250 columns")
		}
		n := min(g.left, len(b))
		g.left, g.first, b = g.left-n, false, b[n:]
	}
	return nil
}

// tooManyColumns judges the first byte of a command's answer (sequence 1): 252 to 254 begin a column count
// of more bytes. 254 alone would be an end of rows, which never comes first.
func tooManyColumns(b byte) bool { return 252 <= b && b <= 254 }
