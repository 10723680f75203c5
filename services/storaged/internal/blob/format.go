package blob

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"time"

	"github.com/everup/everup/services/storaged/internal/names"
	"github.com/everup/everup/shared/fault"
)

// An object is one file: a head of HeadSize bytes, then the body.
//
//	 0  8  magic "evrpobj1"; the last character is the version
//	 8  4  length of the metadata, little endian as all numbers
//	12  8  length of the body
//	20  4  CRC-32C of the metadata
//	24  4  CRC-32C of bytes 0 to 23
//	28 36  zero
//	64  n  metadata, JSON
//
// The head is written last, before the file is synced and gets its name: an object under its name is complete, and metadata and body
// belong together. The body begins at a multiple of the page size.
const (
	HeadSize    = 4096
	metaOffset  = 64
	maxMeta     = HeadSize - metaOffset
	magic       = "evrpobj1"
	fixedLength = 28
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Meta is an object's metadata.
type Meta struct {
	Name     string            `json:"name"`
	Size     int64             `json:"-"`
	SHA256   [32]byte          `json:"-"`
	Modified time.Time         `json:"-"`                // whole milliseconds, UTC
	Header   map[string]string `json:"header,omitempty"` // Content-Type and others, kept for readers
}

// stored is Meta as JSON; its fields have a fixed length but for name and header, so that the room they need is known before
// the body has come.
type stored struct {
	Meta
	SHA  string `json:"sha256"`
	Time string `json:"modified"`
}

const timeLayout = "2006-01-02T15:04:05.000Z"

// Fits reports whether m fits into a head.
func (m *Meta) Fits() bool {
	b, err := m.encode()
	return err == nil && len(b) <= maxMeta
}

func (m *Meta) encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(stored{Meta: *m, SHA: hex.EncodeToString(m.SHA256[:]), Time: m.Modified.UTC().Format(timeLayout)})
	return b.Bytes(), err
}

// ETag is the entity tag: the SHA-256 of the body in hex, in quotes. It is strong (RFC 9110 §8.8.1).
func (m *Meta) ETag() string { return ETag(m.SHA256) }

// ETag is the entity tag of a body with the given SHA-256.
func ETag(sha [32]byte) string { return `"` + hex.EncodeToString(sha[:]) + `"` }

// Entry is m for the index.
func (m *Meta) Entry() names.Entry {
	return names.Entry{Name: m.Name, Size: m.Size, SHA256: m.SHA256, Modified: m.Modified}
}

// EncodeHead returns the head of an object's file, up to the end of the metadata.
func EncodeHead(m *Meta) ([]byte, error) {
	meta, err := m.encode()
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "blob: encode metadata of %q", m.Name)
	}
	if len(meta) > maxMeta {
		return nil, fault.New(fault.Invalid, "blob: metadata of %q have %d bytes, at most %d fit", m.Name, len(meta), maxMeta)
	}
	head := make([]byte, metaOffset, metaOffset+len(meta))
	copy(head, magic)
	binary.LittleEndian.PutUint32(head[8:], uint32(len(meta)))
	binary.LittleEndian.PutUint64(head[12:], uint64(m.Size))
	binary.LittleEndian.PutUint32(head[20:], crc32.Checksum(meta, castagnoli))
	binary.LittleEndian.PutUint32(head[24:], crc32.Checksum(head[:24], castagnoli))
	return append(head, meta...), nil
}

// DecodeHead reads a head: at most HeadSize bytes from the start of a file of fileSize bytes. Whatever does not hold is
// fault.Corrupt; a later version is fault.Unsupported.
func DecodeHead(b []byte, fileSize int64) (Meta, error) {
	if len(b) < metaOffset {
		return Meta{}, fault.New(fault.Corrupt, "blob: head of %d bytes", len(b))
	}
	if string(b[:8]) != magic {
		if string(b[:7]) == magic[:7] {
			return Meta{}, fault.New(fault.Unsupported, "blob: format %q is not known to this version", b[:8])
		}
		return Meta{}, fault.New(fault.Corrupt, "blob: no object file")
	}
	if crc32.Checksum(b[:24], castagnoli) != binary.LittleEndian.Uint32(b[24:]) || !allZero(b[fixedLength:metaOffset]) {
		return Meta{}, fault.New(fault.Corrupt, "blob: the head fails its check")
	}
	n := int(binary.LittleEndian.Uint32(b[8:]))
	size := binary.LittleEndian.Uint64(b[12:])
	if n > len(b)-metaOffset || int64(size) < 0 || int64(size) != fileSize-HeadSize {
		return Meta{}, fault.New(fault.Corrupt, "blob: the head says %d bytes of metadata and %d of body, the file has %d in all", n, size, fileSize)
	}
	meta := b[metaOffset : metaOffset+n]
	if crc32.Checksum(meta, castagnoli) != binary.LittleEndian.Uint32(b[20:]) {
		return Meta{}, fault.New(fault.Corrupt, "blob: the metadata fail their check")
	}
	return decodeMeta(meta, int64(size))
}

func decodeMeta(b []byte, size int64) (Meta, error) {
	var s stored
	if err := json.Unmarshal(b, &s); err != nil {
		return Meta{}, fault.Wrap(fault.Corrupt, err, "blob: decode metadata")
	}
	sha, err := hex.DecodeString(s.SHA)
	if err != nil || len(sha) != 32 {
		return Meta{}, fault.New(fault.Corrupt, "blob: the metadata have no SHA-256")
	}
	t, err := time.Parse(timeLayout, s.Time)
	if err != nil {
		return Meta{}, fault.Wrap(fault.Corrupt, err, "blob: decode metadata")
	}
	s.Meta.Size, s.Meta.SHA256, s.Meta.Modified = size, [32]byte(sha), t
	return s.Meta, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
