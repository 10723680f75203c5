package http2

import (
	"encoding/binary"
	"strconv"
)

// Preface is what a client sends first (RFC 9113 section 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

const (
	// FrameHeaderLen is the length of a frame's header.
	FrameHeaderLen = 9
	// MaxFrame is the longest payload that we take: the least that every peer may send, and all that we announce.
	MaxFrame = 16384
	// MinBuffer is what the caller's buffer has to hold.
	MinBuffer = FrameHeaderLen + MaxFrame
	// maxWindow is the largest window (RFC 9113 section 6.9.1).
	maxWindow = 1<<31 - 1
	// firstWindow is every window's size at first (RFC 9113 section 6.9.2).
	firstWindow = 65535
	// maxStreamID is the largest number of a stream.
	maxStreamID = 1<<31 - 1
)

// FrameType is a frame's type (RFC 9113 section 6).
type FrameType uint8

// The types.
const (
	FrameData           FrameType = 0x0
	FrameHeaders        FrameType = 0x1
	FramePriority       FrameType = 0x2
	FrameRSTStream      FrameType = 0x3
	FrameSettings       FrameType = 0x4
	FramePushPromise    FrameType = 0x5
	FramePing           FrameType = 0x6
	FrameGoAway         FrameType = 0x7
	FrameWindowUpdate   FrameType = 0x8
	FrameContinuation   FrameType = 0x9
	FramePriorityUpdate FrameType = 0x10 // RFC 9218 section 7
)

// String returns the name as RFC 9113 has it.
func (t FrameType) String() string {
	switch t {
	case FrameData:
		return "DATA"
	case FrameHeaders:
		return "HEADERS"
	case FramePriority:
		return "PRIORITY"
	case FrameRSTStream:
		return "RST_STREAM"
	case FrameSettings:
		return "SETTINGS"
	case FramePushPromise:
		return "PUSH_PROMISE"
	case FramePing:
		return "PING"
	case FrameGoAway:
		return "GOAWAY"
	case FrameWindowUpdate:
		return "WINDOW_UPDATE"
	case FrameContinuation:
		return "CONTINUATION"
	case FramePriorityUpdate:
		return "PRIORITY_UPDATE"
	}
	return "FRAME_" + strconv.Itoa(int(t))
}

// Flags are a frame's flags; what one means depends on the frame's type.
type Flags uint8

// The flags.
const (
	FlagEndStream  Flags = 0x1 // DATA, HEADERS
	FlagAck        Flags = 0x1 // SETTINGS, PING
	FlagEndHeaders Flags = 0x4 // HEADERS, CONTINUATION
	FlagPadded     Flags = 0x8 // DATA, HEADERS
	FlagPriority   Flags = 0x20
)

// FrameHeader is what a frame begins with (RFC 9113 section 4.1).
type FrameHeader struct {
	Length uint32 // of the payload, 24 bits
	Type   FrameType
	Flags  Flags
	Stream uint32 // 31 bits
}

// ParseFrameHeader reads the header that b, of FrameHeaderLen bytes at least, begins with. The reserved bit is ignored.
func ParseFrameHeader(b []byte) FrameHeader {
	_ = b[FrameHeaderLen-1]
	return FrameHeader{
		Length: uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]),
		Type:   FrameType(b[3]),
		Flags:  Flags(b[4]),
		Stream: binary.BigEndian.Uint32(b[5:]) & maxStreamID,
	}
}

// Append appends the header.
func (h FrameHeader) Append(dst []byte) []byte {
	return append(dst, byte(h.Length>>16), byte(h.Length>>8), byte(h.Length), byte(h.Type), byte(h.Flags),
		byte(h.Stream>>24), byte(h.Stream>>16), byte(h.Stream>>8), byte(h.Stream))
}

func appendUint32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }

func appendRSTStream(dst []byte, stream uint32, code ErrCode) []byte {
	dst = FrameHeader{Length: 4, Type: FrameRSTStream, Stream: stream}.Append(dst)
	return appendUint32(dst, uint32(code))
}

func appendWindowUpdate(dst []byte, stream uint32, n int32) []byte {
	dst = FrameHeader{Length: 4, Type: FrameWindowUpdate, Stream: stream}.Append(dst)
	return appendUint32(dst, uint32(n))
}

func appendPing(dst []byte, flags Flags, data [8]byte) []byte {
	dst = FrameHeader{Length: 8, Type: FramePing, Flags: flags}.Append(dst)
	return append(dst, data[:]...)
}

func appendGoAway(dst []byte, last uint32, code ErrCode, debug string) []byte {
	dst = FrameHeader{Length: uint32(8 + len(debug)), Type: FrameGoAway}.Append(dst)
	dst = appendUint32(appendUint32(dst, last), uint32(code))
	return append(dst, debug...)
}

// setting is a parameter of SETTINGS (RFC 9113 section 6.5.2).
type setting struct {
	id    uint16
	value uint32
}

const (
	settingTableSize  = 0x1
	settingPush       = 0x2
	settingStreams    = 0x3
	settingWindow     = 0x4
	settingFrameSize  = 0x5
	settingListSize   = 0x6
	settingNoPriority = 0x9 // RFC 9218 section 2.1
)

func appendSettings(dst []byte, list ...setting) []byte {
	dst = FrameHeader{Length: uint32(6 * len(list)), Type: FrameSettings}.Append(dst)
	for _, s := range list {
		dst = appendUint32(binary.BigEndian.AppendUint16(dst, s.id), s.value)
	}
	return dst
}

// ErrCode is why a stream or a connection is ended (RFC 9113 section 7).
type ErrCode uint32

// The codes.
const (
	NoError            ErrCode = 0x0
	ProtocolError      ErrCode = 0x1
	InternalError      ErrCode = 0x2
	FlowControlError   ErrCode = 0x3
	SettingsTimeout    ErrCode = 0x4
	StreamClosed       ErrCode = 0x5
	FrameSizeError     ErrCode = 0x6
	RefusedStream      ErrCode = 0x7
	Cancel             ErrCode = 0x8
	CompressionError   ErrCode = 0x9
	ConnectError       ErrCode = 0xa
	EnhanceYourCalm    ErrCode = 0xb
	InadequateSecurity ErrCode = 0xc
	HTTP11Required     ErrCode = 0xd
)

// String returns the name as RFC 9113 has it.
func (c ErrCode) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "ERROR_" + strconv.FormatUint(uint64(c), 10)
}

var codeNames = [...]string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
	"REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}
