package oracletest

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"strconv"
)

// uniquePlace stands in a command for the CAS unique that the server gave last. It has the length of a binary CAS.
const uniquePlace = "@unique@"

// fillUnique puts the unique at its places.
func fillUnique(command []byte, unique uint64, bin bool) []byte {
	u := strconv.AppendUint(nil, unique, 10)
	if bin {
		u = binary.BigEndian.AppendUint64(nil, unique)
	}
	return bytes.ReplaceAll(command, []byte(uniquePlace), u)
}

// uniques returns the CAS uniques of an answer in their order.
func uniques(answer []byte, bin bool) (list []uint64) {
	mapUniques(answer, bin, func(u uint64) uint64 {
		if u != 0 {
			list = append(list, u)
		}
		return u
	})
	return list
}

// namer gives CAS uniques small numbers in the order in which they are first seen, so that two servers that count
// differently compare equal when the relations between their uniques are.
type namer map[uint64]uint64

func (n namer) name(u uint64) uint64 {
	if u == 0 {
		return 0
	}
	if n[u] == 0 {
		n[u] = uint64(len(n) + 1)
	}
	return n[u]
}

// mapUniques replaces each CAS unique of an answer.
func mapUniques(answer []byte, bin bool, f func(uint64) uint64) []byte {
	if bin {
		return mapBinaryUniques(answer, f)
	}
	return mapTextUniques(answer, f)
}

func mapBinaryUniques(answer []byte, f func(uint64) uint64) []byte {
	out := bytes.Clone(answer)
	for rest := out; len(rest) >= headerLength; {
		_, size, ok := cutPacket(rest)
		cas := rest[16:headerLength]
		binary.BigEndian.PutUint64(cas, f(binary.BigEndian.Uint64(cas)))
		if !ok {
			break
		}
		rest = rest[size:]
	}
	return out
}

var (
	valueLine = regexp.MustCompile(`^VALUE \S+ \d+ (\d+)( (\d+))?\r\n$`)
	metaLine  = regexp.MustCompile(`^(VA (\d+)|HD|NS|EX|NF|EN|ME)\b.*\r\n$`)
	metaCAS   = regexp.MustCompile(` c(as=)?(\d+)\b`)
)

func mapTextUniques(answer []byte, f func(uint64) uint64) []byte {
	var out []byte
	for len(answer) > 0 {
		end := bytes.IndexByte(answer, '\n') + 1
		if end == 0 {
			end = len(answer)
		}
		line := answer[:end]
		answer = answer[end:]
		length := -1
		if m := valueLine.FindSubmatchIndex(line); m != nil {
			length, _ = strconv.Atoi(string(line[m[2]:m[3]]))
			if m[6] >= 0 {
				line = append(line[:m[6]:m[6]], mapDigits(line[m[6]:], f)...)
			}
		} else if m := metaLine.FindSubmatch(line); m != nil {
			if len(m[2]) > 0 {
				length, _ = strconv.Atoi(string(m[2]))
			}
			line = metaCAS.ReplaceAllFunc(line, func(b []byte) []byte {
				i := bytes.IndexAny(b, "0123456789")
				return append(b[:i:i], mapDigits(b[i:], f)...)
			})
		}
		out = append(out, line...)
		if length >= 0 { // the data is no line
			n := min(length, len(answer))
			out, answer = append(out, answer[:n]...), answer[n:]
		}
	}
	return out
}

// mapDigits replaces the number that b begins with.
func mapDigits(b []byte, f func(uint64) uint64) []byte {
	n := 0
	for n < len(b) && '0' <= b[n] && b[n] <= '9' {
		n++
	}
	u, err := strconv.ParseUint(string(b[:n]), 10, 64)
	if err != nil {
		return b
	}
	return append(strconv.AppendUint(nil, f(u), 10), b[n:]...)
}
