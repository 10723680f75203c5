package oldtext

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	engine "github.com/everup/everup/services/cached/internal/oldengine"
)

// Options of the connections of a server.
type Options struct {
	Idle    time.Duration        // a connection silent for so long is closed; 0 never
	Write   time.Duration        // longest wait for a client to take a reply
	Now     func() int64         // Unix seconds
	Stats   func() [][2]string   // general statistics, in order
	Flushed func(delay int64)    // called after a flush_all
	Count   func(command string) // called for each command
	Version string
}

// Conn serves one client.
type Conn struct {
	net   net.Conn
	r     *bufio.Reader
	w     *bufio.Writer
	store *engine.Store
	o     Options
	words [][]byte // room for fields: at most maxFields
	long  []byte   // a multiget longer than the reader's buffer
	out   []byte
	last  atomic.Int64 // when reading ends, in Unix nanoseconds; 0: not known yet
}

// keepLong is the room for a long multiget that a connection keeps between commands: an idle one must not hold a megabyte.
const keepLong = 16 << 10

// NewConn returns a connection that Serve serves.
func NewConn(c net.Conn, s *engine.Store, o Options) *Conn {
	return &Conn{net: c, r: bufio.NewReaderSize(c, maxLine), w: bufio.NewWriterSize(&deadlineWriter{c, o.Write}, 16<<10), store: s, o: o}
}

// deadlineWriter gives each write its time: a client that does not read does not hold the connection for ever.
type deadlineWriter struct {
	c net.Conn
	d time.Duration
}

func (w *deadlineWriter) Write(b []byte) (int, error) {
	if w.d > 0 {
		w.c.SetWriteDeadline(time.Now().Add(w.d))
	}
	return w.c.Write(b)
}

// EndAt makes Serve end at t, or when the command that is being answered then is done. It may be called at any time.
func (c *Conn) EndAt(t time.Time) {
	c.last.Store(t.UnixNano())
	c.net.SetReadDeadline(t)
}

// Close closes the connection, which ends Serve.
func (c *Conn) Close() error { return c.net.Close() }

// errQuit ends a connection in peace.
var errQuit = errors.New("quit")

// Serve answers until the client ends, breaks the protocol beyond repair, or is silent for too long. It does not close
// the connection. The error says why; nil means that the client left.
func (c *Conn) Serve() error {
	for {
		line, err := c.line()
		if err == nil {
			err = c.command(line)
		}
		if cap(c.long) > keepLong {
			c.long = nil
		}
		// One write per batch of pipelined requests.
		if err == nil && c.r.Buffered() == 0 {
			err = c.w.Flush()
		}
		if err != nil {
			flushErr := c.w.Flush()
			if errors.Is(err, errQuit) || errors.Is(err, io.EOF) {
				return flushErr
			}
			return err
		}
	}
}

// errLine is a line that does not end.
var errLine = errors.New("text: command line too long")

// line returns the next command line without its end. It is valid until the next read.
func (c *Conn) line() ([]byte, error) {
	if c.o.Idle > 0 {
		c.net.SetReadDeadline(time.Now().Add(c.o.Idle))
		// EndAt may have come just before: then its deadline must not be pushed back.
		if last := c.last.Load(); last != 0 {
			c.net.SetReadDeadline(time.Unix(0, last))
		}
	}
	b, err := c.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		b, err = c.longLine(b)
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b[:len(b)-1], []byte("\r")), nil
}

// longLine reads on where a multiget is longer than the buffer.
func (c *Conn) longLine(start []byte) ([]byte, error) {
	trimmed := bytes.TrimLeft(start, " ")
	if !bytes.HasPrefix(trimmed, []byte("get ")) && !bytes.HasPrefix(trimmed, []byte("gets ")) {
		c.reply("ERROR too large for a command line")
		return nil, errLine
	}
	c.long = append(c.long[:0], start...)
	for {
		b, err := c.r.ReadSlice('\n')
		c.long = append(c.long, b...)
		if err == nil {
			return c.long, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		if len(c.long) > maxMultiget {
			return nil, errLine
		}
	}
}

func (c *Conn) reply(line string) {
	c.w.WriteString(line)
	c.w.WriteString("\r\n")
}

// answer replies unless the client asked for silence.
func (c *Conn) answer(quiet bool, line string) {
	if !quiet {
		c.reply(line)
	}
}

// command runs one line. Its error ends the connection.
func (c *Conn) command(line []byte) error {
	first, rest := cutField(line)
	name := string(first)
	if name == "" {
		c.reply(errUnknown)
		return nil
	}
	c.o.Count(name)
	switch name {
	case "get":
		c.get(rest, false)
		return nil
	case "gets":
		c.get(rest, true)
		return nil
	case "gat":
		c.getTouch(rest, false)
		return nil
	case "gats":
		c.getTouch(rest, true)
		return nil
	}
	c.words = fields(c.words[:0], line)
	return c.fixed(name, c.words)
}

// fixed runs a command with a fixed number of arguments; f holds the command first.
func (c *Conn) fixed(name string, f [][]byte) error {
	switch name {
	case "set":
		return c.set(f, engine.Set)
	case "add":
		return c.set(f, engine.Add)
	case "replace":
		return c.set(f, engine.Replace)
	case "append":
		return c.set(f, engine.Append)
	case "prepend":
		return c.set(f, engine.Prepend)
	case "cas":
		return c.set(f, engine.CAS)
	case "delete":
		c.delete(f)
	case "touch":
		c.touch(f)
	case "incr":
		c.add(f, false)
	case "decr":
		c.add(f, true)
	case "flush_all":
		c.flush(f)
	case "stats":
		c.stats(f)
	case "version":
		c.reply("VERSION " + c.o.Version)
	case "verbosity":
		c.verbosity(f)
	case "quit":
		return errQuit
	default:
		return c.unknown(f)
	}
	return nil
}

// unknown answers ERROR, but hangs up on HTTP: a browser or a forged cross-site request is talking to the wrong port.
func (c *Conn) unknown(f [][]byte) error {
	if bytes.HasPrefix(f[len(f)-1], []byte("HTTP/")) {
		return errQuit
	}
	c.reply(errUnknown)
	return nil
}

func (c *Conn) get(keys []byte, withCAS bool) {
	if k, _ := cutField(keys); k == nil {
		c.reply(errUnknown)
		return
	}
	c.values(keys, withCAS, c.store.Get)
}

func (c *Conn) getTouch(args []byte, withCAS bool) {
	exptime, keys := cutField(args)
	if exptime == nil {
		c.reply(errUnknown)
		return
	}
	at, ok := expiry(c.o.Now(), exptime) // without a key behind it: END
	if !ok {
		c.reply(errExptime)
		return
	}
	c.values(keys, withCAS, func(now int64, key []byte) (engine.Item, bool) { return c.store.Touch(now, key, at) })
}

// values answers for the keys of a line. They are cut out of it one by one: a line of a megabyte has half a million, and
// a list of them would take many times the line's room.
func (c *Conn) values(keys []byte, withCAS bool, find func(int64, []byte) (engine.Item, bool)) {
	for k, rest := cutField(keys); k != nil; k, rest = cutField(rest) {
		if len(k) > maxKey {
			c.reply(errFormat) // and none of the values
			return
		}
	}
	now := c.o.Now()
	for k, rest := cutField(keys); k != nil; k, rest = cutField(rest) {
		if it, ok := find(now, k); ok {
			c.value(k, it, withCAS)
		}
	}
	c.reply("END")
}

func (c *Conn) value(key []byte, it engine.Item, withCAS bool) {
	b := append(append(c.out[:0], "VALUE "...), key...)
	b = strconv.AppendUint(append(b, ' '), uint64(it.Flags), 10)
	b = strconv.AppendUint(append(b, ' '), uint64(len(it.Value)), 10)
	if withCAS {
		b = strconv.AppendUint(append(b, ' '), it.CAS, 10)
	}
	c.out = append(b, "\r\n"...)
	c.w.Write(c.out)
	c.w.Write(it.Value)
	c.w.WriteString("\r\n")
}

// set reads the line and the data block behind it.
func (c *Conn) set(f [][]byte, mode engine.Mode) error {
	now := c.o.Now()
	a, ok := parseStore(now, f, mode == engine.CAS)
	if !ok {
		if len(f) < 5 {
			c.reply(errUnknown)
		} else {
			c.reply(errFormat)
		}
		return nil
	}
	key := append(make([]byte, 0, maxKey), f[1]...) // the reader's buffer is about to move on
	if int64(a.length) > c.store.MaxItem() {
		return c.refuse(key, mode, a)
	}
	value, err := readValue(c.r, a.length)
	if err != nil {
		return err
	}
	var end [2]byte
	if _, err := io.ReadFull(c.r, end[:]); err != nil {
		return err
	}
	if string(end[:]) != "\r\n" {
		c.answer(a.quiet, errChunk)
		return nil
	}
	it := engine.Item{Value: value, Flags: a.flags, Expires: a.expires, CAS: a.cas}
	res := c.store.Set(now, mode, key, it)
	if res == engine.TooLarge && mode == engine.Set {
		c.store.Refuse(key)
	}
	c.answer(a.quiet, resultLine(res))
	return nil
}

// firstPart is what a value gets before any of it has come.
const firstPart = 64 << 10

// readValue reads n bytes into memory of their own, taken as they come: a length alone, which costs the sender nothing, costs
// little here too. The capacity is all that the allocator gave, so that the store can account for it.
func readValue(r io.Reader, n int) ([]byte, error) {
	v := slices.Grow([]byte(nil), min(n, firstPart))
	for {
		got, err := io.ReadFull(r, v[len(v):min(n, cap(v))])
		v = v[:len(v)+got]
		if err != nil || len(v) == n {
			return v, err
		}
		v = append(slices.Grow([]byte(nil), min(n, 4*len(v))), v...)
	}
}

// refuse swallows a value that is too large without holding it.
func (c *Conn) refuse(key []byte, mode engine.Mode, a storeArgs) error {
	if mode == engine.Set {
		c.store.Refuse(key)
	}
	c.answer(a.quiet, errTooLarge)
	_, err := io.CopyN(io.Discard, c.r, int64(a.length)+2)
	return err
}

func resultLine(r engine.Result) string {
	switch r {
	case engine.Stored:
		return "STORED"
	case engine.NotStored:
		return "NOT_STORED"
	case engine.Exists:
		return "EXISTS"
	case engine.NotFound:
		return "NOT_FOUND"
	case engine.NotNumeric:
		return errNumeric
	}
	return errTooLarge
}

func (c *Conn) delete(f [][]byte) {
	quiet := noreply(f)
	switch {
	case len(f) < 2:
		c.reply(errUnknown)
		return
	case len(f) > 2 && !(len(f) == 3 && (quiet || string(f[2]) == "0")) && !(len(f) == 4 && quiet && string(f[2]) == "0"):
		c.reply(errDelete)
		return
	case len(f[1]) > maxKey:
		c.reply(errFormat)
		return
	}
	if c.store.Delete(c.o.Now(), f[1]) {
		c.answer(quiet, "DELETED")
	} else {
		c.answer(quiet, "NOT_FOUND")
	}
}

func (c *Conn) touch(f [][]byte) {
	if len(f) < 3 || len(f) > 4 {
		c.reply(errUnknown)
		return
	}
	if len(f[1]) > maxKey {
		c.reply(errFormat)
		return
	}
	at, ok := expiry(c.o.Now(), f[2])
	if !ok {
		c.reply(errExptime)
		return
	}
	if _, ok := c.store.Touch(c.o.Now(), f[1], at); ok {
		c.answer(noreply(f), "TOUCHED")
	} else {
		c.answer(noreply(f), "NOT_FOUND")
	}
}

func (c *Conn) add(f [][]byte, down bool) {
	if len(f) < 3 || len(f) > 4 {
		c.reply(errUnknown)
		return
	}
	quiet := noreply(f)
	if len(f[1]) > maxKey {
		c.reply(errFormat)
		return
	}
	delta, err := strconv.ParseUint(string(f[2]), 10, 64)
	if err != nil {
		c.reply(errDelta)
		return
	}
	n, res := c.store.Add64(c.o.Now(), f[1], delta, down)
	if res == engine.Stored {
		c.answer(quiet, strconv.FormatUint(n, 10))
		return
	}
	c.answer(quiet, resultLine(res))
}

func (c *Conn) flush(f [][]byte) {
	quiet := noreply(f)
	if quiet {
		f = f[:len(f)-1]
	}
	now := c.o.Now()
	at := now
	if len(f) > 1 {
		var ok bool
		if at, ok = expiry(now, f[1]); !ok {
			c.reply(errExptime)
			return
		}
	}
	c.store.Flush(now, at)
	c.o.Flushed(max(0, at-now))
	c.answer(quiet, "OK")
}

func (c *Conn) stats(f [][]byte) {
	switch {
	case len(f) == 1:
		for _, kv := range c.o.Stats() {
			fmt.Fprintf(c.w, "STAT %s %s\r\n", kv[0], kv[1])
		}
		c.reply("END")
	case string(f[1]) == "reset":
		c.reply("RESET")
	case strings.Contains(" items slabs sizes conns ", " "+string(f[1])+" "):
		c.reply("END")
	default:
		c.reply(errUnknown)
	}
}

func (c *Conn) verbosity(f [][]byte) {
	if len(f) < 2 {
		c.reply(errUnknown)
		return
	}
	if _, err := strconv.ParseUint(string(f[1]), 10, 32); err != nil {
		c.answer(noreply(f), errFormat)
		return
	}
	c.answer(noreply(f), "OK")
}
