package http2

import "strconv"

// Reason is why we ended a stream or a connection: a word for a log and a metric's label.
type Reason uint8

// The reasons. From RapidReset on they are floods: the connection is ended with ENHANCE_YOUR_CALM.
const (
	NoReason       Reason = iota
	BadPreface            // what comes first is not HTTP/2
	BadFrame              // a frame on a stream, or in a place, where it may not stand
	BadFrameSize          // a length that the frame's type does not have
	BadPadding            // more padding than payload
	BadSetting            // a value that the setting may not have
	BadBlock              // a header block that cannot be decoded
	BadHead               // fields that are not those of a request or an answer
	BadStreamID           // a number that may not be opened
	ClosedStream          // a frame on a stream that has ended
	SelfDependency        // a stream that depends on itself
	WindowOverflow        // a window of more than 2³¹-1
	WindowExceeded        // more content than the window allows
	ZeroIncrement         // a WINDOW_UPDATE of nothing
	LengthMismatch        // content of another length than the head says
	BadTrailers           // fields behind the content that may not stand there
	TooManyStreams        // streams beyond what was announced
	HandlerReset          // the caller has ended it
	PeerReset             // the peer has ended it
	PeerGone              // GOAWAY of the peer: the stream was not looked at
	RapidReset            // streams that are opened and made to end, again and again (CVE-2023-44487)
	StreamFlood           // streams beyond what was announced, again and again
	BlockFlood            // a header block of too many bytes or frames
	SettingsFlood         // too many SETTINGS
	PingFlood             // too many PING
	UpdateFlood           // too many WINDOW_UPDATE
	IdleFlood             // too many frames that mean nothing to us: PRIORITY, PRIORITY_UPDATE, unknown ones, those of closed streams
	EmptyFlood            // too many DATA frames without content
	ControlFlood          // more control frames wait to be sent than we keep

	// Reasons is how many there are.
	Reasons = iota
)

var reasonNames = [Reasons]string{
	"", "bad-preface", "bad-frame", "bad-frame-size", "bad-padding", "bad-setting", "bad-block", "bad-head", "bad-stream-id",
	"closed-stream", "self-dependency", "window-overflow", "window-exceeded", "zero-increment", "length-mismatch", "bad-trailers",
	"too-many-streams", "handler-reset", "peer-reset", "peer-gone", "rapid-reset", "stream-flood", "block-flood", "settings-flood",
	"ping-flood", "update-flood", "idle-flood", "empty-flood", "control-flood",
}

// String returns the name as logs and metrics have it.
func (r Reason) String() string {
	if int(r) < Reasons {
		return reasonNames[r]
	}
	return "reason-" + strconv.Itoa(int(r))
}

// Flood reports whether the reason is an abuse rather than a mistake.
func (r Reason) Flood() bool { return r >= RapidReset && int(r) < Reasons }
