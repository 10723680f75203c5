package state

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"

	"github.com/everup/everup/shared/fault"
)

// envelope is a saved file: one JSON object on one line. The checksum is of kind, version and data.
type envelope struct {
	Kind    string          `json:"kind"`
	Version int             `json:"version"`
	CRC32C  string          `json:"crc32c"` // 8 lower-case hexadecimal digits
	Data    json.RawMessage `json:"data"`
}

func (e *envelope) sum() string {
	t := crc32.MakeTable(crc32.Castagnoli)
	head := binary.BigEndian.AppendUint64([]byte(e.Kind+"\x00"), uint64(e.Version))
	return fmt.Sprintf("%08x", crc32.Update(crc32.Checksum(head, t), t, e.Data))
}

func (e *envelope) encode() ([]byte, error) {
	b, err := json.Marshal(e)
	return append(b, '\n'), err
}

// seal returns the file for v.
func seal(kind string, version int, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	e := &envelope{Kind: kind, Version: version, Data: data}
	e.CRC32C = e.sum()
	return e.encode()
}

// unseal checks the file b and returns its envelope. The JSON decoder forgives much (letter case of keys, space, a
// second value of a key), so the file must also be exactly what encode makes of it.
func unseal(b []byte) (*envelope, error) {
	e := &envelope{}
	if err := json.Unmarshal(b, e); err != nil {
		return nil, fault.Wrap(fault.Corrupt, err, "envelope")
	}
	again, err := e.encode()
	if err != nil {
		return nil, fault.Wrap(fault.Corrupt, err, "envelope")
	}
	if !bytes.Equal(b, again) {
		return nil, fault.New(fault.Corrupt, "envelope is not as it was written")
	}
	if sum := e.sum(); sum != e.CRC32C {
		return nil, fault.New(fault.Corrupt, "checksum %s, stored %s", sum, e.CRC32C)
	}
	return e, nil
}

// Save writes v as JSON in an envelope with kind, version and CRC32C.
func (d *Dir) Save(name, kind string, version int, v any) error {
	b, err := seal(kind, version, v)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "state: save %s", name)
	}
	if len(b) > MaxFile {
		return fault.New(fault.Full, "state: save %s: %d bytes, at most %d can be read back", name, len(b), MaxFile)
	}
	return d.WriteFile(name, b)
}

// Load reads into v what Save wrote; v is untouched where the envelope does not check. A damaged file is fault.Corrupt,
// a missing one fault.NotFound, another kind or a version above version fault.Unsupported. An older version is decoded
// into v as it is.
func (d *Dir) Load(name, kind string, version int, v any) error {
	b, err := d.ReadFile(name)
	if err != nil {
		return err
	}
	e, err := unseal(b)
	if err != nil {
		return fault.Wrap(fault.Corrupt, err, "state: load %s", name)
	}
	if e.Kind != kind {
		return fault.New(fault.Unsupported, "state: load %s: kind %q, want %q", name, e.Kind, kind)
	}
	if e.Version > version {
		return fault.New(fault.Unsupported, "state: load %s: version %d, this build knows up to %d", name, e.Version, version)
	}
	return fault.Wrap(fault.Corrupt, json.Unmarshal(e.Data, v), "state: load %s", name)
}
