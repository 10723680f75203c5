package mcflags

// Port is a port number, or one of the constants.
type Port int32

// What is no port number.
const (
	Off       Port = 0  // no listener
	Ephemeral Port = -1 // one that the kernel chooses; WritePortFile tells which
	inherit   Port = -2 // in a Listener: that of -p or -U
)

// Number is what to bind to: 0 for Ephemeral.
func (p Port) Number() uint16 { return uint16(max(p, 0)) }
