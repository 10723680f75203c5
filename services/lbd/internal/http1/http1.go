// Package http1 is HTTP/1.1 as a pure core: heads, field lines and bodies parsed in place from bytes as they come, by the
// strict reading of RFC 9112 and RFC 9110, and written again. It does no input and no output, reads no clock, starts no
// goroutine and allocates nothing once its slices have grown.
//
// # Strictness
//
// A proxy that reads a message otherwise than the server behind it lets requests be smuggled. Where the RFCs leave a choice
// this package refuses, with a Refusal that says the rule and the status to answer with; nothing of the message may then be
// forwarded, and the connection ends. That another server takes a form is no reason to take it. In particular: lines end in
// CRLF; no folding, no white space around a name; Content-Length once, digits only, never beside Transfer-Encoding;
// Transfer-Encoding exactly "chunked", once, never in HTTP/1.0; one Host, which agrees with a target in absolute form;
// chunk sizes without sign, prefix or white space; trailers without fields that frame or route.
//
// # Use
//
// A Head is parsed from the beginning of a buffer that grows until it is complete, and holds places in it (Text), not
// copies: it is good for as long as the buffer's bytes stay. Limits bound what a peer can make the caller keep. Body says
// where a message ends and which bytes of the buffer are content.
package http1

import "strconv"

// Limits bound a head. The zero value takes nothing.
type Limits struct {
	Head   int // bytes of the head in all, at most 1 MiB
	Line   int // bytes of the request line or status line
	Fields int // field lines
}

// DefaultLimits are what servers commonly take.
func DefaultLimits() Limits { return Limits{Head: 64 << 10, Line: 16 << 10, Fields: 128} }

// Text is a place in the buffer that a head was parsed from.
type Text struct{ off, end uint32 }

// In returns the bytes of t in the buffer b.
func (t Text) In(b []byte) []byte { return b[t.off:t.end:t.end] }

// Len returns the number of bytes.
func (t Text) Len() int { return int(t.end - t.off) }

// Field is a field line.
type Field struct {
	Name, Value Text // the value without white space around it
	ID          ID   // what the name means to a proxy
}

// Version is 10 for HTTP/1.0 and 11 for HTTP/1.1.
type Version uint8

// The versions.
const (
	HTTP10 Version = 10
	HTTP11 Version = 11
)

// Refusal is why a message is not taken. 0 is no refusal.
type Refusal uint8

// The refusals.
const (
	OK Refusal = iota
	BareCR
	BareLF
	ControlByte
	HeadTooLarge
	LineTooLong
	TooManyFields
	BadMethod
	BadTarget
	BadVersion
	OldVersion // HTTP/0.9, 2.0 and what else begins with HTTP/
	BadStatus
	NoColon
	EmptyName
	SpaceInName // before the colon, too
	BadName
	Folded // obs-fold, and white space before the first field
	BadValue
	NoHost
	TwoHosts
	BadHost
	OtherHost // a target in absolute form names another host
	BadLength
	TwoLengths
	LengthAndCoding
	BadCoding
	UnknownCoding
	CodingInHTTP10
	BadConnection
	BadExpect
	BadUpgrade
	BadChunkSize
	ChunkSizeTooLarge
	BadChunkExtension
	ChunkLineTooLong
	BadChunkEnd
	BadTrailer
	TrailerTooLarge
	BadPseudo // a pseudo-header field of HTTP/2 that is unknown, missing, there twice, or out of place

	refusals
)

// refusal is what is said of one.
type refusal struct {
	status int
	name   string
}

var refusalTable = [refusals]refusal{
	OK:                {200, "ok"},
	BareCR:            {400, "bare-cr"},
	BareLF:            {400, "bare-lf"},
	ControlByte:       {400, "control-byte"},
	HeadTooLarge:      {431, "head-too-large"},
	LineTooLong:       {414, "line-too-long"},
	TooManyFields:     {431, "too-many-fields"},
	BadMethod:         {400, "bad-method"},
	BadTarget:         {400, "bad-target"},
	BadVersion:        {400, "bad-version"},
	OldVersion:        {505, "version"},
	BadStatus:         {502, "bad-status"},
	NoColon:           {400, "no-colon"},
	EmptyName:         {400, "empty-name"},
	SpaceInName:       {400, "space-in-name"},
	BadName:           {400, "bad-name"},
	Folded:            {400, "folded"},
	BadValue:          {400, "bad-value"},
	NoHost:            {400, "no-host"},
	TwoHosts:          {400, "two-hosts"},
	BadHost:           {400, "bad-host"},
	OtherHost:         {400, "other-host"},
	BadLength:         {400, "bad-length"},
	TwoLengths:        {400, "two-lengths"},
	LengthAndCoding:   {400, "length-and-coding"},
	BadCoding:         {400, "bad-coding"},
	UnknownCoding:     {501, "unknown-coding"},
	CodingInHTTP10:    {400, "coding-in-http10"},
	BadConnection:     {400, "bad-connection"},
	BadExpect:         {417, "bad-expect"},
	BadUpgrade:        {400, "content-with-upgrade"},
	BadChunkSize:      {400, "bad-chunk-size"},
	ChunkSizeTooLarge: {400, "chunk-size-too-large"},
	BadChunkExtension: {400, "bad-chunk-extension"},
	ChunkLineTooLong:  {400, "chunk-line-too-long"},
	BadChunkEnd:       {400, "bad-chunk-end"},
	BadTrailer:        {400, "bad-trailer"},
	TrailerTooLarge:   {431, "trailer-too-large"},
	BadPseudo:         {400, "bad-pseudo"},
}

// Status returns the status to answer a client with. A server that sends what is refused is answered for by 502.
func (r Refusal) Status() int {
	if r < refusals {
		return refusalTable[r].status
	}
	return 400
}

// String returns the name as logs and metrics have it.
func (r Refusal) String() string {
	if r < refusals {
		return refusalTable[r].name
	}
	return "refusal-" + strconv.Itoa(int(r))
}
